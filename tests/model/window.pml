/*
 * A model of version 2 for SPIN: two ends, one or two streams, and a connection that holds little.
 *
 *      Read(A)   Read(B)         an application reads a stream
 *        |          |
 *   Send(A) ==> wire[A] ==> Receive(B)
 *   Receive(A) <== wire[B] <== Send(B)
 *
 * What the ends do is written by the clauses of docs/PROTOCOL.md, named where they stand, and not
 * by the engine's code: SPIN says that the rules fit together, the tests say that the engine
 * keeps them. tests/model/run has the worlds that are searched and what must come out.
 * What is left out stands in docs/RELIABILITY.md. PLANT_ are mistakes that have to be found.
 *
 * The same text is Go's rules where they differ. A world gives each end a sum of the
 * differences it has, GO_A and GO_B; an end with 0 has ours.
 */
#define READ_WAITS 1 /* a read waits until its update is written                   (M14) */
#define NO_ZERO    2 /* an update with CONSUMED 0 is not sent, nor expected        (M15) */
#define IMMORTAL   4 /* a failing transport ends nothing, nor silence while paused (M11) */
#define FIN_DROPS  8 /* both ends have finished: what is unread is thrown away     (M1)  */

/* The world. Bytes have no content, only their number. */
#ifndef GO_A
#define GO_A 0
#endif
#ifndef GO_B
#define GO_B 0
#endif
#ifndef STREAMS
#define STREAMS 1
#endif
#ifndef CAPACITY
#define CAPACITY 2 /* frames that the connection holds, each way */
#endif
#ifndef FRAME
#define FRAME 1 /* most payload of a frame */
#endif
#ifndef FIRST
#define FIRST 4 /* the window that every stream begins with, 262144 in the protocol */
#endif
#ifndef SMALLEST
#define SMALLEST 1 /* an update offers any window from here */
#endif
#ifndef LARGEST
#define LARGEST 2 /* to here; Go always this one */
#endif
#ifndef BUDGET
#define BUDGET 2
#endif
#ifndef WRAP
#define WRAP 10 /* counters are modulo this, 2^32 in the protocol; half of it is above FIRST */
#endif
#ifndef B_WRITES
#define B_WRITES 1 /* whether data goes both ways */
#endif

/*
 * BYTES: what each application writes to each stream before its shutdown; without it they write
 * for ever. UNREAD: at B nobody reads stream 1, or the only one. VANISH: A may vanish without
 * a word, at any time. With cycles, the reading of stream 0 at B has to go on for ever.
 */
#ifdef UNREAD
#define IS_READ(me, s) (!(me == B && s == STREAMS - 1))
#else
#define IS_READ(me, s) true
#endif

#define A 0
#define B 1
#define PEER (1 - me)

#define GO(me, rule) (((me == A && (GO_A & rule)) || (me == B && (GO_B & rule))))
#define IS_GO(me)    ((me == A && GO_A) || (me == B && GO_B))

mtype = { PSH, UPD, FIN, NOP };

/* Kind, stream, length of a PSH or CONSUMED, WINDOW. */
chan wire[2] = [CAPACITY] of { mtype, byte, byte, byte };

/* A stream at one end. */
typedef Half {
    byte sent;     /* [WIN-2] */
    byte acked;    /* [WIN-4] */
    byte window;   /* WINDOW of the last update that came */
    byte unread;   /* came and was not read: what the budget is charged with */
    byte consumed; /* [UPD-1] */
    byte since;    /* consumed since the last update */
    byte told;     /* window that was announced last */
    bool begun;    /* something was consumed */
    bool due;      /* [UPD-3] an update is state: there is one to be written or none */
    byte allowed;  /* what may still come of all that was ever permitted [UPD-8] */
#ifdef BYTES
    byte left; /* what the application has yet to write */
    bool fin_out;
    bool fin_in;
#endif
};
typedef End {
    Half half[STREAMS];
    short bucket; /* budget minus charges */
    bool over;    /* it vanished, or its session has ended */
};
End end[2];

#define H(me, s) end[me].half[s]

/* --- the sending side ------------------------------------------------------------------------ */

#define INFLIGHT(me, s) ((H(me, s).sent + WRAP - H(me, s).acked) % WRAP)

/* [WIN-9] the byte that is left out so that no CONSUMED has to be 0; Go does not know of it */
#if PLANT_no_gap
#define GAP(me, s) 0
#else
#define GAP(me, s)                                                                                 \
    (!GO(me, NO_ZERO) && H(me, s).window >= 2 && (H(me, s).acked + H(me, s).window) % WRAP == 0)
#endif

#if PLANT_one_more
#define EXTRA 1
#else
#define EXTRA 0
#endif

/* [WIN-1] whether more than n bytes may go; [WIN-3] a negative room is none */
#define ROOM_ABOVE(me, s, n) (INFLIGHT(me, s) + GAP(me, s) + (n) < H(me, s).window + EXTRA)

#define WRITES(me) (me == A || B_WRITES)
#ifdef BYTES
#define BYTES_GIVEN true
#define LEFT_ABOVE(me, s, n) (H(me, s).left > (n))
#define WANTS_FIN(me, s)     (!H(me, s).fin_out && (H(me, s).left == 0 || EARLY_FIN))
#define WANTS_UPD(me, s)     (H(me, s).due && !H(me, s).fin_in) /* [UPD-6] */
#else
#define BYTES_GIVEN false
#define LEFT_ABOVE(me, s, n) WRITES(me)
#define WANTS_FIN(me, s)     false
#define WANTS_UPD(me, s)     H(me, s).due
#endif
#if PLANT_early_fin
#define EARLY_FIN true
#else
#define EARLY_FIN false
#endif

#define MAY_SEND(me, s, n) (LEFT_ABOVE(me, s, n) && ROOM_ABOVE(me, s, n))
#define READY(me, s)       (WANTS_UPD(me, s) || MAY_SEND(me, s, 0) || WANTS_FIN(me, s))

/* [BKT-6] not receiving does not stop sending */
#if PLANT_pause_stops_sending
#define SENDS(me) (end[me].bucket > 0)
#else
#define SENDS(me) true
#endif

/*
 * Streams take turns, within one an update goes first: Go's order, and a weaker one than ours, in
 * which updates go first over all streams [ORD-3].
 *
 * With TURNS, data that may go follows an update before the next one. That is for the search of
 * cycles only: windows of a few bytes make an update due for each frame that comes, and a schedule
 * in which the connection never has room for anything else is a fair one. Real windows ask for
 * 16 bytes of update for up to 131072 bytes of data.
 */
#ifdef TURNS
#define UPD_FIRST(me, s) (WANTS_UPD(me, s) && !(was_upd && MAY_SEND(me, s, 0)))
#else
#define UPD_FIRST(me, s) WANTS_UPD(me, s)
#endif

proctype Send(byte me) {
    byte turn, s, n;
#ifdef TURNS
    bool was_upd; /* what went last was an update */
#endif

end_send:
    do
    :: atomic {
        !end[me].over && nfull(wire[me]) && SENDS(me) && (READY(me, 0) || READY(me, STREAMS - 1)) ->
        if
        :: READY(me, turn) -> s = turn
        :: else -> s = STREAMS - 1 - turn
        fi;
#if PLANT_one_stream_first
        turn = STREAMS - 1;
#else
        turn = STREAMS - 1 - s;
#endif
        if
        :: UPD_FIRST(me, s) -> /* [UPD-3] values of the moment in which it is written */
            n = (IS_GO(me) -> LARGEST : SMALLEST);
            do
            :: n < LARGEST -> n++ /* [UPD-2], [BKT-7]: how much is policy, all of it is tried */
            :: break
            od;
            H(me, s).due = false;
            H(me, s).since = 0;
            H(me, s).told = n;
            if
            :: n > H(me, s).unread + H(me, s).allowed -> H(me, s).allowed = n - H(me, s).unread
            :: else
            fi;
            printf("%c: UPD %d (%d, %d)\n", 65 + me, s, H(me, s).consumed, n);
            wire[me] ! UPD(s, H(me, s).consumed, n)
#ifdef TURNS
            ;
            was_upd = true
#endif
        :: !UPD_FIRST(me, s) && MAY_SEND(me, s, 0) ->
            n = 1;
            do
            :: n < FRAME && MAY_SEND(me, s, n) -> n++
            :: break
            od;
            H(me, s).sent = (H(me, s).sent + n) % WRAP;
#ifdef BYTES
            H(me, s).left = H(me, s).left - n;
#endif
            printf("%c: PSH %d, %d bytes\n", 65 + me, s, n);
            wire[me] ! PSH(s, n, 0)
#ifdef TURNS
            ;
            was_upd = false
#endif
#ifdef BYTES
        :: !UPD_FIRST(me, s) && WANTS_FIN(me, s) && (EARLY_FIN || !MAY_SEND(me, s, 0)) ->
            H(me, s).fin_out = true; /* [FIN-1], [ORD-1] behind all its data */
            printf("%c: FIN %d\n", 65 + me, s);
            wire[me] ! FIN(s, 0, 0)
#endif
        fi;
        s = 0; /* what is not needed any more must not make states differ */
        n = 0
    }
    od
}

/* --- the receiving side ---------------------------------------------------------------------- */

/* [BKT-4] a frame is taken only while the bucket is above zero */
#if PLANT_no_gate
#define TAKES(me) true
#else
#define TAKES(me) (end[me].bucket > 0)
#endif

/* [BKT-5] bucket and charges are the budget; [BKT-4] what is held is less than a frame above it */
#if STREAMS == 2
#define HELD(me) (H(me, 0).unread + H(me, 1).unread)
#else
#define HELD(me) H(me, 0).unread
#endif
#define CHECK_BUCKET(me)                                                                           \
    assert(end[me].bucket + HELD(me) == BUDGET); /* BKT-5 */                                       \
    assert(HELD(me) < BUDGET + FRAME)            /* BKT-4 */

proctype Receive(byte me) {
    mtype kind;
    byte s, a, w;

end_receive:
    do
    :: atomic {
        !end[me].over && TAKES(me) && nempty(wire[PEER]) ->
        wire[PEER] ? kind, s, a, w;
        if
        :: kind == PSH ->
            assert(a <= H(me, s).allowed); /* WIN-1, UPD-8 */
#ifdef BYTES
            assert(!H(me, s).fin_in); /* ORD-1 */
#endif
            H(me, s).allowed = H(me, s).allowed - a;
            H(me, s).unread = H(me, s).unread + a;
            end[me].bucket = end[me].bucket - a;
            CHECK_BUCKET(me)
#if PLANT_early_credit
            ;
            H(me, s).consumed = (H(me, s).consumed + a) % WRAP
#endif
        :: kind == UPD ->
#if PLANT_plain_compare
            if
            :: a < H(me, s).acked -> skip
            :: else -> H(me, s).acked = a; H(me, s).window = w
            fi
#else
            /* RCV-18: never ahead of what was sent; WIN-4: nor old, between honest ends */
            assert((a + WRAP - H(me, s).acked) % WRAP <= INFLIGHT(me, s));
            H(me, s).acked = a;
            H(me, s).window = w;
            /* UPD-1: what lies unread there is not acknowledged */
            assert(INFLIGHT(me, s) >= H(PEER, s).unread)
#endif
        :: kind == NOP -> skip
#ifdef BYTES
        :: kind == FIN ->
            assert(!H(me, s).fin_in); /* FIN-1 */
            H(me, s).fin_in = true;
            if
            :: GO(me, FIN_DROPS) && H(me, s).left == 0 ->
                end[me].bucket = end[me].bucket + H(me, s).unread;
                H(me, s).unread = 0
            :: else /* [FIN-4] nothing unread is discarded, [FIN-6] our writing goes on */
            fi
#endif
        fi;
        kind = 0;
        s = 0;
        a = 0;
        w = 0
    }
    od
}

/* --- the application ------------------------------------------------------------------------- */

/* [UPD-4] a read does not wait for the update that it made due; that of Go does */
#define MAY_READ(me, s) (H(me, s).unread > 0 && !(GO(me, READ_WAITS) && H(me, s).due))

/* [UPD-2] (b): half of the window announced last; Go: half of its buffer */
#define HALF_OF(w) ((w) >= 4 -> (w) / 2 : 1)
#if PLANT_only_first
#define ENOUGH(me, s) false
#else
#define ENOUGH(me, s)                                                                              \
    (H(me, s).since >= (IS_GO(me) -> HALF_OF(LARGEST) : HALF_OF(H(me, s).told)))
#endif

#if PLANT_leak
#define GIVEN_BACK(n) (n - 1)
#else
#define GIVEN_BACK(n) n /* [BKT-3] */
#endif

proctype Read(byte me; byte s) {
    byte n;
#ifdef BYTES
    byte got;
#endif

again:
    atomic {
        if
        :: !end[me].over && MAY_READ(me, s) ->
            n = 1;
            do
            :: n < H(me, s).unread -> n++ /* as much as the application wants */
            :: break
            od;
            H(me, s).unread = H(me, s).unread - n;
            end[me].bucket = end[me].bucket + GIVEN_BACK(n);
#if !PLANT_early_credit
            H(me, s).consumed = (H(me, s).consumed + n) % WRAP;
#endif
            H(me, s).since = (H(me, s).due -> 0 : H(me, s).since + n);
            if
            :: !H(me, s).due && (!H(me, s).begun || ENOUGH(me, s)) ->
                /* [UPD-5] one with CONSUMED 0 is due like any other; Go forgets it */
                H(me, s).due = !(GO(me, NO_ZERO) && H(me, s).consumed == 0);
                H(me, s).since = 0
            :: else
            fi;
            H(me, s).begun = true;
            CHECK_BUCKET(me);
            printf("%c: read %d, %d bytes\n", 65 + me, s, n);
#ifdef BYTES
            got = got + n;
#endif
            n = 0;
            if
            :: me == B && s == 0 -> goto progress_read
            :: else -> goto again
            fi
#ifdef BYTES
        :: !end[me].over && H(me, s).unread == 0 && H(me, s).fin_in -> /* [FIN-2] */
            printf("%c: end of file %d\n", 65 + me, s);
            assert(got == (WRITES(PEER) -> BYTES : 0)); /* FIN-2: behind all data */
            goto ended
#endif
        :: end[me].over -> goto ended
        fi
    };
progress_read:
    skip;
    goto again;
ended:
    skip
}

#ifdef VANISH
/*
 * A vanishes. NOPs are left out up to here, as they change nothing; from now on one of B stays in
 * the connection, because nobody takes it.
 */
proctype Vanish() {
    atomic {
        end[A].over = true;
        printf("A: vanishes\n")
    }
}

#if PLANT_pause_stops_nops
#define SENDS_NOP (end[B].bucket > 0)
#else
#define SENDS_NOP true /* [BKT-6] */
#endif

/* The session of B has to end, whatever it was doing. */
proctype Keepalive() {
    do
    :: atomic { /* [KA-4] silence, while we are reading */
        end[A].over && empty(wire[A]) && end[B].bucket > 0 ->
        end[B].over = true;
        printf("B: silence\n");
        break
    }
    :: atomic { /* [KA-5] what nobody takes makes the transport fail */
        end[A].over && nempty(wire[B]) && !GO(B, IMMORTAL) ->
        end[B].over = true;
        printf("B: transport failed\n");
        break
    }
    :: atomic { /* [KA-1] */
        end[A].over && empty(wire[B]) && SENDS_NOP ->
        printf("B: NOP\n");
        wire[B] ! NOP(0, 0, 0)
    }
    od
}
#endif

init {
    byte me, s;

    atomic {
        for (me : A .. B) {
            end[me].bucket = BUDGET;
            for (s : 0 .. STREAMS - 1) {
                H(me, s).window = FIRST;
                H(me, s).told = FIRST;
                H(me, s).allowed = FIRST;
#ifdef BYTES
                H(me, s).left = (WRITES(me) -> BYTES : 0);
                H(me, s).sent = WRAP - 3; /* so that the counters wrap on the way */
                H(me, s).acked = WRAP - 3;
                H(PEER, s).consumed = WRAP - 3;
#endif
                if
                :: IS_READ(me, s) && (WRITES(PEER) || BYTES_GIVEN) -> run Read(me, s)
                :: else
                fi
            }
            run Send(me);
            run Receive(me)
        }
#ifdef VANISH
        run Keepalive();
        run Vanish()
#endif
    }
}
