"""A TCP relay that looks at every smux frame of the C side and checks the clauses that can be
seen from outside.

A frame is judged before it is passed on, so the relay knows of each window at least as early as
the C side does; what it calls too much is too much.
"""
import socket
import struct
import threading
import time

SYN, FIN, PSH, NOP, UPD = range(5)
NAMES = ("SYN", "FIN", "PSH", "NOP", "UPD")
HEADER = struct.Struct("<BBHI")
FIRST_WINDOW = 262144


def frame(version, command, stream=0, payload=b"", length=None):
    """The bytes of a frame; `length` lies about the payload."""
    return HEADER.pack(version, command, len(payload) if length is None else length,
                       stream) + payload


class Parser:
    """Cuts a byte stream into frames: on_frame(version, command, length, id, UPD payload)."""

    def __init__(self, on_frame):
        self.on_frame = on_frame
        self.head = b""
        self.skip = 0

    def feed(self, data):
        pos = 0
        while pos < len(data) or (self.skip == 0 and len(self.head) >= 16):
            if self.skip:
                n = min(self.skip, len(data) - pos)
                self.skip -= n
                pos += n
                continue
            need = 8 if len(self.head) < 8 else 16
            take = data[pos:pos + need - len(self.head)]
            self.head += take
            pos += len(take)
            self.step()

    def step(self):
        if len(self.head) < 8:
            return
        version, command, length, stream = HEADER.unpack(self.head[:8])
        if command == UPD and length == 8:
            if len(self.head) == 16:
                self.on_frame(version, command, length, stream, self.head[8:])
                self.head = b""
            return
        self.on_frame(version, command, length, stream, b"")
        self.head = b""
        self.skip = length


class Flow:
    """One stream, as far as the C side's duty goes. Counters are not reduced modulo 2^32."""

    def __init__(self, opened_by_c):
        self.opened_by_c = opened_by_c
        self.born = time.monotonic()
        self.confirmed = opened_by_c  # the opener has sent a second frame
        self.sent = self.received = 0  # payload of the C side, of the other
        self.acked = 0
        self.edge = FIRST_WINDOW  # largest CONSUMED + WINDOW the C side was told
        self.consumed = 0  # last CONSUMED of the C side
        self.windows = []  # windows it advertised
        self.fin = False


class Watch:
    """Judges the frames of the C side."""

    def __init__(self, c_is_client, version, guard=0.005):
        self.version = version
        self.guard = guard
        self.next_id = 3 if c_is_client else 2
        self.flows = {}
        self.faults = []
        self.counts = {True: [0] * 5, False: [0] * 5}  # by sender: is it the C side
        self.largest = {True: 0, False: 0}  # PSH
        self.lock = threading.Lock()

    def fault(self, clause, text):
        if len(self.faults) < 100:
            self.faults.append(f"[{clause}] {text}")

    def see(self, from_c, version, command, length, stream, payload):
        with self.lock:
            if command > UPD:
                self.fault("FRM-6", f"command {command}")
                return
            self.counts[from_c][command] += 1
            if command == PSH:
                self.largest[from_c] = max(self.largest[from_c], length)
            if from_c:
                self.judge_header(version, command, length, stream)
                self.judge(command, length, stream, payload)
            else:
                self.learn(command, length, stream, payload)

    def judge_header(self, version, command, length, stream):
        if version != self.version:
            self.fault("FRM-2", f"version {version}")
        if command in (SYN, FIN, NOP) and length != 0 or command == UPD and length != 8:
            self.fault("FRM-3", f"{NAMES[command]} with length {length}")
        if command == PSH and length == 0:
            self.fault("FRM-3", "empty PSH")
        if command == UPD and self.version == 1:
            self.fault("FRM-8", "UPD in version 1")
        if command == NOP and stream != 0:
            self.fault("SID-5", f"NOP of stream {stream}")

    def judge(self, command, length, stream, payload):
        if command == NOP:
            return
        if command == SYN:
            if stream != self.next_id:
                self.fault("SID-1", f"SYN {stream}, expected {self.next_id}")
            self.next_id = stream + 2
            self.flows[stream] = Flow(True)
            return
        flow = self.flows.get(stream)
        if flow is None:
            self.fault("OPN-2", f"{NAMES[command]} of stream {stream} before its SYN")
            return
        if not flow.confirmed and time.monotonic() - flow.born < self.guard:
            self.fault("OPN-5", f"{NAMES[command]} of stream {stream} within the accept guard")
        flow.confirmed = True
        if command == FIN:
            self.judge_fin(flow, stream)
        elif command == PSH:
            self.judge_data(flow, length, stream)
        else:
            self.judge_update(flow, payload, stream)

    def judge_fin(self, flow, stream):
        if flow.fin:
            self.fault("FIN-1", f"two FINs of stream {stream}")
        flow.fin = True

    def judge_data(self, flow, length, stream):
        flow.sent += length
        if flow.fin:
            self.fault("ORD-1", f"PSH of stream {stream} after its FIN")
        if self.version == 2 and flow.sent > flow.edge:
            self.fault("WIN-1", f"stream {stream}: {flow.sent} bytes sent, window ends at "
                       f"{flow.edge}")

    def judge_update(self, flow, payload, stream):
        low, window = struct.unpack("<II", payload)
        consumed = unwrap(low, flow.consumed)
        if consumed < flow.consumed or consumed > flow.received:
            self.fault("UPD-1", f"stream {stream}: CONSUMED {consumed} after {flow.consumed}, "
                       f"received {flow.received}")
        if window > 0x7FFFFFFF:
            self.fault("UPD-1", f"WINDOW {window:#x}")
        flow.consumed = consumed
        flow.windows.append(window)

    def learn(self, command, length, stream, payload):
        if command == SYN:
            self.flows[stream] = Flow(False)
        flow = self.flows.get(stream)
        if flow is None or command in (SYN, NOP):
            return
        flow.confirmed = True
        if command == PSH:
            flow.received += length
        elif command == UPD:
            low, window = struct.unpack("<II", payload)
            flow.acked = max(flow.acked, unwrap(low, flow.acked))
            flow.edge = max(flow.edge, flow.acked + min(window, 0x7FFFFFFF))


def unwrap(low, near):
    """The number that is `low` modulo 2^32 and nearest to `near`."""
    return near + ((low - near + 0x80000000) & 0xFFFFFFFF) - 0x80000000


class Relay:
    """Listens for the client and connects to the server, one connection after the other."""

    def __init__(self, target, c_is_client, version):
        host, port = target.rsplit(":", 1)
        self.target = (host, int(port))
        self.c_is_client = c_is_client
        self.watch = Watch(c_is_client, version)
        self.sockets = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.target)
            except OSError:
                return
            for s in (near, far):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets += [near, far]
            for source, sink, from_client in ((near, far, True), (far, near, False)):
                threading.Thread(target=self.pump, daemon=True,
                                 args=(source, sink, from_client == self.c_is_client)).start()

    def pump(self, source, sink, from_c):
        parser = Parser(lambda *args: self.watch.see(from_c, *args))
        try:
            while data := source.recv(1 << 18):
                parser.feed(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for s in (source, sink):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def stop(self):
        for s in (self.listener, *self.sockets):
            s.close()
