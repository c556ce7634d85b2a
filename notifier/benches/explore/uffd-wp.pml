/*
 * tests/scenarios/uffd-wp.litmus by hand in Promela, step for step: the same shared words, and a
 * statement or an atomic block here wherever another agent could come between there.
 *
 *   spin -a -DTABLE_GENERATION -DCLEARS_W -DSTORES=2 -DROUNDS=1 uffd-wp.pml && gcc -O2 -DSAFETY pan.c
 *
 * PENDING_CHECK is `os pending-check-in-fault`, TABLE_GENERATION `os table-generation`, neither is
 * `os none`; CLEARS_W is `hardware clears-w`.
 */
#ifndef STORES
#define STORES 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif

/* An entry: P, W, WP and above them the frame: 0 is `old`, 1 and 2 the copies. */
#define P 1
#define W 2
#define WP 4
#define FRAME(entry) ((entry) >> 3)
#define MAY_WRITE(entry) (((entry) & (P | W)) == (P | W))

byte pte = P | W;
byte tlb[2];
byte mem[3];
byte expect;
bit ptl;
/* Nobody takes it to write in these variants, so it is a number of readers. */
byte mmap;
byte pending;
byte table_stamp, flushed_stamp;

inline lock() { atomic { ptl == 0 -> ptl = 1 } }

inline flush() { tlb[0] = 0; tlb[1] = 0 }

/* One change of the protection; the register is given up after the last use in the last round. */
inline change(new, stamp, last) {
    mmap++;
    pending++;
    lock();
    if
    :: pte & P ->
        pte = new;
#ifdef TABLE_GENERATION
        d_step { table_stamp++; stamp = table_stamp }
#endif
    :: else
    fi;
    ptl = 0;
    flush();
#ifdef TABLE_GENERATION
    d_step {
        flushed_stamp = (flushed_stamp < stamp -> stamp : flushed_stamp);
        stamp = (last -> 0 : stamp)
    }
#endif
    pending--
}

#ifdef CLEARS_W
#define UNPROTECTED (pte & ~(W | WP))
#else
#define UNPROTECTED (pte & ~WP)
#endif

/* The round goes up with the step that ends it, so that it is no step of its own. */
active proctype monitor0() {
    byte round, protects, unprotects;
again:
    change((pte & ~W) | WP, protects, round == ROUNDS - 1);
    mmap--;
    change(UNPROTECTED, unprotects, round == ROUNDS - 1);
    atomic {
        mmap--;
        round++;
        if
        :: round < ROUNDS -> goto again
        :: else -> round = 0
        fi
    }
end_over:
    false
}

active proctype monitor1() {
    byte round, unprotects;
again:
    change(UNPROTECTED, unprotects, round == ROUNDS - 1);
    atomic {
        mmap--;
        round++;
        if
        :: round < ROUNDS -> goto again
        :: else -> round = 0
        fi
    }
end_over:
    false
}

/* Process 2 is CPU0 with copy 1, process 3 is CPU1 with copy 2. */
active [2] proctype cpu() {
    byte stores, seen;
#define ME (_pid - 2)
#define COPY (_pid - 1)
    /* A loop, since a `goto` from one atomic block into another would make one of the two. */
    do
    :: atomic {
        MAY_WRITE(tlb[ME]) ->
        mem[FRAME(tlb[ME])]++;
        expect++;
        assert(!((pte & P) && FRAME(tlb[ME]) != FRAME(pte)));
        stores++;
        if
        :: stores == STORES -> stores = 0; goto end_over
        :: else
        fi
    }
    :: atomic { !MAY_WRITE(tlb[ME]) && MAY_WRITE(pte) -> tlb[ME] = pte & ~WP }
    :: atomic { !MAY_WRITE(tlb[ME]) && !MAY_WRITE(pte) -> tlb[ME] = pte & ~WP };
        mmap++;
        lock();
        atomic {
            seen = pte;
            if
            :: !(seen & P) || (seen & (W | WP)) -> seen = 0; goto leave
            :: else
            fi;
#if !defined(PENDING_CHECK) && !defined(TABLE_GENERATION)
            if
            :: FRAME(seen) != 0 -> seen = 0; goto private
            :: else
            fi
#endif
        }
#if defined(PENDING_CHECK) || defined(TABLE_GENERATION)
#ifdef PENDING_CHECK
#define NEEDED (pending > 0)
#else
#define NEEDED (flushed_stamp < table_stamp)
#endif
        atomic {
            if
            :: NEEDED
            :: else ->
                if
                :: FRAME(seen) != 0 -> seen = 0; goto private
                :: else -> goto copy
                fi
            fi
        }
        tlb[0] = 0;
        atomic {
            tlb[1] = 0;
            if
            :: FRAME(seen) != 0 -> seen = 0; goto private
            :: else
            fi
        }
#endif
copy:
        ptl = 0;
        mem[COPY] = mem[0];
        lock();
        atomic {
            if
            :: pte != seen -> seen = 0; goto leave
            :: else -> seen = 0
            fi
        }
        pte = 0;
        flush();
        d_step {
            pte = P | W | (COPY << 3);
            assert(mem[COPY] == expect)
        }
        goto leave;
private:
        pte = pte | W;
leave:
        ptl = 0;
        mmap--
    od;
end_over:
    false
}

/* TLBs lose entries by themselves. */
active [2] proctype evict() {
end_evict:
    do
    :: atomic { tlb[_pid - 4] & P -> tlb[_pid - 4] = 0 }
    od
}
