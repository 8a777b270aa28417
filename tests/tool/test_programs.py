"""Real programs through the tunnel: nginx with wrk, redis with its benchmark.

ctest-timeout: 180
ctest-serial
"""
from libtunnel import *

SECONDS = 2     # of each load

NGINX = """
daemon off; master_process off;
worker_processes 1;
pid {dir}/pid;
error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c;
    uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
    keepalive_requests 100000;
    server {{ listen 127.0.0.1:{port}; root {dir}/www; }}
}}
"""


def nginx(directory):
    """Starts nginx with a small and a large file; returns its address."""
    port = free_port()
    os.mkdir(directory + "/www")
    os.chmod(directory, 0o755)
    with open(directory + "/www/small", "wb") as f:
        f.write(b"x" * 612)
    with open(directory + "/www/large", "wb") as f:
        f.write(os.urandom(4 * MIB))
    with open(directory + "/conf", "w") as f:
        f.write(NGINX.format(dir=directory, port=port))
    process = Process(["nginx", "-p", directory, "-c", directory + "/conf"])
    wait_for_port(port, process)
    return "127.0.0.1", port


def wait_for_port(port, process):
    def up():
        if process.child.poll() is not None:
            raise AssertionError("%s ended: %s" % (process.args[0], process.log()))
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    wait_until(up, 10, "port of " + process.args[0])


def wrk(address, path, connections, *options):
    """Returns (requests, megabytes a second as wrk writes it); any failed one is an error."""
    done = subprocess.run(["wrk", "-t", "2", "-c", str(connections), "-d", "%ds" % SECONDS, *options,
                           "http://%s:%d/%s" % (*address, path)],
                          capture_output=True, text=True, timeout=60)
    expect(done.returncode, 0, "exit status of wrk: " + done.stderr)
    for bad in ("Socket errors", "Non-2xx"):
        if bad in done.stdout:
            raise AssertionError("wrk through the tunnel: " + done.stdout)
    return int(re.search(r"(\d+) requests in", done.stdout).group(1)), \
        re.search(r"Transfer/sec:\s+(\S+)", done.stdout).group(1)


@test
def web_server_without_a_failed_request():
    need("nginx", "wrk")
    with tempfile.TemporaryDirectory() as d:
        address = nginx(d)
        for version in ("2", "1"):
            tunnel = Tunnel(address, client_options=("--smuxver", version, "--conn", "2", "--quiet"),
                            server_options=("--quiet",))
            for path, connections in (("small", 100), ("large", 16)):
                requests, rate = wrk(tunnel.address, path, connections)
                print("       %s, version %s, %d connections: %d requests, %s/s" % (
                    path, version, connections, requests, rate))
                expect(requests > 0, True, "requests")


@test
def web_server_with_a_connection_for_each_request():
    need("nginx", "wrk")
    with tempfile.TemporaryDirectory() as d:
        tunnel = Tunnel(nginx(d), client_options=("--quiet",), server_options=("--quiet",))
        lua = d + "/close.lua"
        with open(lua, "w") as f:
            f.write('wrk.headers["Connection"] = "close"\n')
        requests, _ = wrk(tunnel.address, "small", 50, "-s", lua)
        print("       %d connections opened and closed" % requests)
        expect(requests > 100, True, "requests")


@test
def redis():
    need("redis-server", "redis-benchmark")
    port = free_port()
    with tempfile.TemporaryDirectory() as d:
        process = Process(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                           "--appendonly", "no", "--dir", d])
        wait_for_port(port, process)
        tunnel = Tunnel(("127.0.0.1", port), client_options=("--quiet",))
        for commands, options in (("ping_mbulk,set,get,lpush,lrange_100", ["-c", "50"]),
                                  ("ping_mbulk,set,get,lpush", ["-c", "50", "-P", "16", "-d", "1000"])):
            done = subprocess.run(["redis-benchmark", "-h", "127.0.0.1", "-p",
                                   str(tunnel.address[1]), "-n", "20000", "-t", commands, "-q",
                                   *options],
                                  capture_output=True, text=True, timeout=120)
            expect(done.returncode, 0, "exit status of redis-benchmark: " + done.stderr)
            results = re.findall(r"(\w+[^:\r\n]*): ([\d.]+) requests per second", done.stdout)
            expect(len(results) >= 4, True, "results in " + done.stdout[-500:])
            print("       redis %s: %s" % (" ".join(options), ", ".join(
                "%s %s/s" % (name.split()[0], rate.split(".")[0]) for name, rate in results)))


run()
