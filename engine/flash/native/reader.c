/*
 * Reads scattered rows of a file into memory, with many threads and past the operating system's cache
 * ("LLM in a flash", section 3.1: flash is fast when many large chunks are asked for at once).
 *
 * A caller submits a batch: ranges of a file, each with its place in registered memory. On the caller's thread the
 * batch is sorted by offset and planned:
 *
 *     requests  --fuse-->  pieces  --group-->  runs
 *
 * A *piece* is contiguous in the file and in memory. A *run* is what one thread reads with one call: pieces that lie
 * next to each other in the file, or so near that reading through the gap is cheaper than a second read. A gap of -1
 * joins nothing: every request is a read of its own, as in the paper. The plan is a
 * *ticket*, which waits in a queue until its last run is taken, and which the caller waits for.
 *
 * A *worker* is a thread that takes runs from a queue and reads them: one after the other, so that there are as many
 * workers as reads are to be outstanding, or, where Linux reads directly, many at once through the kernel's
 * asynchronous I/O. That reads no faster, but takes half of the processor time, which a model needs for its sums.
 *
 * Direct I/O wants aligned offsets, lengths and addresses. A piece that has them is read straight into its destination.
 * Any other is read, in whole blocks, into a buffer of the *slot* that it is read in and copied from there.
 *
 * One mutex guards everything that changes: queues, tickets, references, regions, counters. It is held for a few
 * instructions a run, and never during a read. Workers allocate nothing but, once a slot, that buffer. Readers, files
 * and tickets count their references, so that they may be let go in any order.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#ifdef __APPLE__
#include <libproc.h>
#include <pthread/qos.h>
#include <sys/resource.h>
#include <sys/sysctl.h>
#else
#include <linux/aio_abi.h>
#include <linux/magic.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#endif

#define API __attribute__((visibility("default")))

enum {
    VERSION = 11,               /* of this interface; the wrapper refuses any other */
    MAX_PIECES = 128,           /* in a run; with the gaps between them far below IOV_MAX */
    MAX_BOUNCE = 128 << 10,     /* bytes of a slot's buffer: 32 of them must not cost the user much memory */
    MIN_BOUNCE = 16 << 10,
    MAX_ALIGNMENT = 16 << 10,   /* a file that asks for more is read through the cache */
    USUAL_ALIGNMENT = 4096,
    STACK_BYTES = 256 << 10,
    ASYNCHRONOUS_WORKERS = 2,   /* one is busy with submitting while the other learns what is complete; */
    FEW_CORES = 2,              /* where that takes both from a model's sums, there is one */
    MAX_DEPTH = 256,            /* slots of a worker */
    BUCKETS = 496               /* of latencies: 8 for every power of two nanoseconds */
};

/* What submit refuses, and an error that errno has no name for. */
enum {
    BAD_LENGTH = -1, BAD_OFFSET = -2, BAD_PLACE = -3, BAD_GAP = -4, NOT_REGISTERED = -5, CLOSED = -6, TRUNCATED = -7,
    NO_THREAD = -8
};

typedef ssize_t (*read_function)(int fd, const struct iovec *parts, int count, off_t offset);

struct piece {
    int64_t offset, length;
    char *address;
    bool direct;                /* aligned, or no need to be: alone in its run it goes straight to its destination */
    bool scatter;               /* and so it does among others of its kind */
};

struct region { char *address; int64_t bytes; };

struct fb_statistics { int64_t bytes, device_bytes, reads, in_flight; double busy_s, p50_s, p99_s; };

struct fb_result {
    int64_t bytes, device_bytes, reads, error_offset;
    double seconds, max_latency_s;
    int32_t error, cancelled;   /* error: an errno or TRUNCATED */
};

struct fb_file {
    struct fb_reader *reader;
    struct queue *queue;        /* of the workers that read it */
    int fd, cached_fd;          /* the same where alignment is advice (macOS) or where there is no direct I/O */
    bool direct;
    int64_t size;
    int64_t alignment;          /* of offsets and lengths */
    int64_t address_alignment;
    int references;             /* the owner's, and one for each ticket that is not complete */
};

struct fb_ticket {
    struct fb_reader *reader;
    struct fb_file *file;
    struct fb_ticket *next;     /* in the file's queue */
    struct piece *pieces;
    size_t *runs;               /* run i is pieces[runs[i]] up to, not including, pieces[runs[i + 1]] */
    size_t run_count, next_run, unfinished;
    int64_t gap;
    double submitted;
    struct fb_result result;
};

/* What one run came to. */
struct outcome { int64_t bytes, device_bytes, error_offset; double began, seconds; int error; };

/* A run that is being read: bytes from `offset` on go to `parts`, of which only the first `needed` must exist. */
struct slot {
    struct fb_ticket *ticket;
    const struct piece *first, *last;
    int64_t offset, needed;
    struct iovec whole[2 * MAX_PIECES], *parts; /* what is left of it */
    int part_count;
    bool bounced;               /* the pieces are copied from the buffer once it is filled */
    char *bounce;
    int64_t bounce_bytes;
    struct outcome outcome;
#ifndef __APPLE__
    struct iocb control;
#endif
};

struct worker {
    struct fb_reader *reader;
    struct queue *queue;
    pthread_t thread;
    struct slot *slots, **idle;
    int idle_count, under_way;  /* slots without a run, and with one that the system is reading */
#ifndef __APPLE__
    aio_context_t context;      /* 0: reads block */
#endif
};

struct queue {
    struct fb_ticket *first, **end;
    pthread_cond_t work;
    int workers, wanted, depth; /* depth: slots of each */
};

struct fb_reader {
    pthread_mutex_t mutex;
    pthread_cond_t done;
    struct queue blocking, asynchronous;
    struct worker *workers;
    int worker_count;           /* of both queues */
    bool stopping, joined;
    int references;             /* the owner's, and one for each file and ticket */
    int64_t max_read, scatter_alignment;
    read_function read;
    struct region *regions;
    size_t region_count;
    struct fb_statistics statistics;
    double busy_since;
    uint64_t latencies[BUCKETS];
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int64_t end_of(const struct piece *p) { return p->offset + p->length; }
static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

/* ---- Latencies: log-spaced, so that 500 counters reach from nanoseconds to centuries with 12 % resolution. ---- */

static int bucket_of(double seconds) {
    uint64_t ns = (uint64_t)(seconds * 1e9);
    if (ns < 8) return (int)ns;
    int exponent = 63 - __builtin_clzll(ns);
    return ((exponent - 2) << 3) | (int)((ns >> (exponent - 3)) & 7);
}

static double bucket_middle(int bucket) {
    if (bucket < 8) return 1e-9 * bucket;
    return 1e-9 * (8.5 + (bucket & 7)) * (double)(1ull << ((bucket >> 3) - 1));
}

static double percentile(const struct fb_reader *r, double share) {
    uint64_t total = 0, seen = 0;
    for (int i = 0; i < BUCKETS; i++) total += r->latencies[i];
    for (int i = 0; i < BUCKETS && total; i++) {
        seen += r->latencies[i];
        if ((double)seen >= share * (double)total) return bucket_middle(i);
    }
    return 0;
}

/* ---- References. All under the mutex, except where nobody else can know the object. ---- */

static void drop_file(struct fb_file *f) {
    if (--f->references) return;
    if (f->cached_fd != f->fd) close(f->cached_fd);
    close(f->fd);
    f->reader->references--;    /* never the last: whoever drops a file holds the reader too */
    free(f);
}

static void unlock_and_drop(struct fb_reader *r) {
    bool last = --r->references == 0;
    pthread_mutex_unlock(&r->mutex);
    if (!last) return;
    pthread_cond_destroy(&r->blocking.work);
    pthread_cond_destroy(&r->asynchronous.work);
    pthread_cond_destroy(&r->done);
    pthread_mutex_destroy(&r->mutex);
    free(r->regions);
    free(r->workers);
    free(r);
}

/* ---- Tickets: their queues, and how they end. Under the mutex. ---- */

static void enqueue(struct fb_ticket *t) {
    struct queue *q = t->file->queue;
    *q->end = t;
    q->end = &t->next;
}

static void dequeue(struct fb_ticket *t) {
    struct queue *q = t->file->queue;
    struct fb_ticket **link = &q->first;
    while (*link != t) link = &(*link)->next;
    *link = t->next;
    if (!t->next) q->end = link;
}

/* The next run of the queue, into a slot. */
static void take(struct queue *q, struct slot *s) {
    struct fb_ticket *t = q->first;
    size_t run = t->next_run++;
    s->ticket = t;
    s->first = t->pieces + t->runs[run];
    s->last = t->pieces + t->runs[run + 1] - 1;
    if (t->next_run == t->run_count) dequeue(t);
}

/* Counts `runs` of the ticket as over; the last one completes it. */
static void retire(struct fb_ticket *t, size_t runs, double time) {
    struct fb_reader *r = t->reader;
    t->unfinished -= runs;
    r->statistics.in_flight -= (int64_t)runs;
    if (runs && !r->statistics.in_flight) r->statistics.busy_s += time - r->busy_since;
    if (t->unfinished) return;
    t->result.seconds = time - t->submitted;
    drop_file(t->file);
    pthread_cond_broadcast(&r->done);
}

static void skip_rest(struct fb_ticket *t) {
    size_t left = t->run_count - t->next_run;
    if (!left) return;
    t->next_run = t->run_count;
    dequeue(t);
    retire(t, left, now());
}

static void finish_run(struct fb_ticket *t, const struct outcome *o, double time) {
    struct fb_statistics *s = &t->reader->statistics;
    s->bytes += o->bytes;
    s->device_bytes += o->device_bytes;
    s->reads++;
    t->reader->latencies[bucket_of(o->seconds)]++;
    t->result.device_bytes += o->device_bytes;
    t->result.reads++;
    if (o->seconds > t->result.max_latency_s) t->result.max_latency_s = o->seconds;
    if (o->error && !t->result.error) {
        t->result.error = o->error;
        t->result.error_offset = o->error_offset;
        skip_rest(t);           /* this run still counts: the ticket cannot end here */
    }
    retire(t, 1, time);
}

/* ---- Reading a run, on a worker's thread, without the mutex. ---- */

static bool need_bounce(struct slot *s, int64_t bytes) {
    if (bytes <= s->bounce_bytes) return true;
    int64_t size = MIN_BOUNCE;
    while (size < bytes) size *= 2;
    if (s->bounce) munmap(s->bounce, (size_t)s->bounce_bytes);
    s->bounce_bytes = 0;
    /* Mapped, not allocated: pages are aligned, and malloc would give each thread an arena of its own. */
    s->bounce = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (s->bounce == MAP_FAILED) {
        s->bounce = NULL;
        s->outcome.error = ENOMEM;
        return false;
    }
    s->bounce_bytes = size;
    return true;
}

static void add_part(struct slot *s, char *address, int64_t bytes) {
    s->parts[s->part_count++] = (struct iovec){address, (size_t)bytes};
}

static void lay_out_scattered(struct slot *s) {
    int64_t at = s->offset = s->first->offset;
    for (const struct piece *p = s->first; p <= s->last; at = end_of(p++)) {
        if (p->offset > at) {   /* bytes of a gap all land in one place, and nobody looks at them */
            if (!need_bounce(s, s->ticket->gap)) return;
            add_part(s, s->bounce, p->offset - at);
        }
        add_part(s, p->address, p->length);
    }
    s->needed = at - s->offset;
}

static void lay_out_bounced(struct slot *s) {
    int64_t unit = s->ticket->file->alignment;
    s->offset = s->first->offset / unit * unit;
    s->needed = end_of(s->last) - s->offset;
    int64_t bytes = round_up(end_of(s->last), unit) - s->offset;
    if (need_bounce(s, bytes)) add_part(s, s->bounce, bytes);
}

static bool all_scatter(const struct slot *s) {
    for (const struct piece *p = s->first; p <= s->last; p++)
        if (!p->scatter) return false;
    return true;
}

/* Decides where the bytes of a slot's run go. */
static void lay_out(struct slot *s) {
    s->outcome = (struct outcome){.error_offset = s->first->offset, .began = now()};
    s->parts = s->whole, s->part_count = 0;
    s->bounced = !(s->first == s->last ? s->first->direct : all_scatter(s));
    if (s->bounced)
        lay_out_bounced(s);
    else
        lay_out_scattered(s);
}

/* Counts what one call to the system brought: bytes, 0 at the end of the file, or a negative errno. */
static void arrived(struct slot *s, int64_t got) {
    if (got == -EINTR) return;
    if (got <= 0) {
        s->outcome.error = got ? (int)-got : TRUNCATED;
        s->outcome.error_offset = s->offset + s->outcome.device_bytes;
        return;
    }
    s->outcome.device_bytes += got;
    while (s->part_count && (size_t)got >= s->parts->iov_len) {
        got -= (int64_t)s->parts->iov_len;
        s->parts++, s->part_count--;
    }
    if (s->part_count) {
        s->parts->iov_base = (char *)s->parts->iov_base + got;
        s->parts->iov_len -= (size_t)got;
    }
}

/* Reads what is missing yet. */
static void read_rest(struct slot *s) {
    struct fb_file *f = s->ticket->file;
    while (!s->outcome.error && s->outcome.device_bytes < s->needed) {
        /* The rest of a short read starts anywhere, which direct I/O would refuse. */
        int fd = s->outcome.device_bytes ? f->cached_fd : f->fd;
        off_t from = (off_t)(s->offset + s->outcome.device_bytes);
        ssize_t got = s->ticket->reader->read(fd, s->parts, s->part_count, from);
        arrived(s, got < 0 ? -errno : got);
    }
}

/* Completes a run of which a first call has brought something, or nothing yet. */
static void complete(struct slot *s) {
    read_rest(s);
    for (const struct piece *p = s->first; p <= s->last && !s->outcome.error; p++) {
        if (s->bounced) memcpy(p->address, s->bounce + (p->offset - s->offset), (size_t)p->length);
        s->outcome.bytes += p->length;
    }
    s->outcome.seconds = now() - s->outcome.began;
}

/* ---- Workers. ---- */

#ifndef __APPLE__

/* Hands `count` slots to the system and waits until it has read one or more. `slots` are then those that have ended, and
 * those that it would not take: their number is returned. */
static int read_asynchronously(struct worker *w, struct slot **slots, int count) {
    struct iocb *controls[MAX_DEPTH];
    struct io_event events[MAX_DEPTH];
    int begun = 0, ended = 0;
    for (int i = 0; i < count; i++) {
        struct slot *s = slots[i];
        s->control = (struct iocb){
            .aio_data = (uintptr_t)s, .aio_lio_opcode = IOCB_CMD_PREADV, .aio_fildes = (uint32_t)s->ticket->file->fd,
            .aio_buf = (uintptr_t)s->parts, .aio_nbytes = (uint64_t)s->part_count, .aio_offset = s->offset};
        if (s->outcome.error)
            slots[ended++] = s;
        else
            controls[begun++] = &s->control;
    }
    for (int i = 0; i < begun;) {
        long taken = syscall(SYS_io_submit, w->context, (long)(begun - i), controls + i);
        if (taken > 0)
            i += (int)taken, w->under_way += (int)taken;
        else
            slots[ended++] = (struct slot *)(uintptr_t)controls[i++]->aio_data; /* a plain read says what is wrong */
    }
    if (!w->under_way) return ended;
    long arrivals = syscall(SYS_io_getevents, w->context, ended ? 0L : 1L, (long)MAX_DEPTH, events, NULL);
    for (long i = 0; i < arrivals; i++, w->under_way--) {
        slots[ended] = (struct slot *)(uintptr_t)events[i].data;
        arrived(slots[ended++], events[i].res);
    }
    return ended;
}

#endif

/* Reads the runs of `count` slots, or begins to. `slots` are then those that are complete; their number is returned. */
static int read_slots(struct worker *w, struct slot **slots, int count) {
    for (int i = 0; i < count; i++) lay_out(slots[i]);
#ifdef __APPLE__
    (void)w;
#else
    if (w->context) count = read_asynchronously(w, slots, count);
#endif
    for (int i = 0; i < count; i++) complete(slots[i]);
    return count;
}

static void free_worker(struct worker *w) {
#ifndef __APPLE__
    if (w->context) syscall(SYS_io_destroy, w->context);
#endif
    for (struct slot *s = w->slots; s && s < w->slots + w->queue->depth; s++)
        if (s->bounce) munmap(s->bounce, (size_t)s->bounce_bytes);
    free(w->slots);
    free(w->idle);
}

static void *work(void *argument) {
    struct worker *w = argument;
    struct fb_reader *r = w->reader;
    struct queue *q = w->queue;
    struct slot *slots[MAX_DEPTH];
#ifdef __APPLE__
    pthread_set_qos_class_self_np(QOS_CLASS_USER_INITIATED, 0); /* lower classes have their I/O throttled */
#endif
    pthread_mutex_lock(&r->mutex);
    for (;;) {
        while (!q->first && !w->under_way && !r->stopping) pthread_cond_wait(&q->work, &r->mutex);
        if (!q->first && !w->under_way) break; /* stopping, and everything submitted is read */
        int count = 0;
        for (; q->first && w->idle_count; count++) take(q, slots[count] = w->idle[--w->idle_count]);
        pthread_mutex_unlock(&r->mutex);
        count = read_slots(w, slots, count);
        double time = now();
        pthread_mutex_lock(&r->mutex);
        for (int i = 0; i < count; i++) {
            finish_run(slots[i]->ticket, &slots[i]->outcome, time);
            w->idle[w->idle_count++] = slots[i];
        }
    }
    pthread_mutex_unlock(&r->mutex);
    free_worker(w);
    return NULL;
}

static bool start_worker(struct fb_reader *r, struct queue *q) {
    struct worker *w = r->workers + r->worker_count;
    *w = (struct worker){.reader = r, .queue = q, .idle_count = q->depth};
    w->slots = calloc((size_t)q->depth, sizeof *w->slots);
    w->idle = calloc((size_t)q->depth, sizeof(struct slot *));
    bool ready = w->slots && w->idle;
    for (int i = 0; ready && i < q->depth; i++) w->idle[i] = w->slots + i;
#ifndef __APPLE__
    if (ready && q == &r->asynchronous) ready = syscall(SYS_io_setup, q->depth, &w->context) == 0;
#endif
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    ready = ready && pthread_create(&w->thread, &attributes, work, w) == 0;
    pthread_attr_destroy(&attributes);
    if (!ready) free_worker(w);
    r->worker_count += ready;
    q->workers += ready;
    return ready;
}

/* Whether anybody reads what this queue is given: its threads are started for its first file, as each of them takes
 * memory. Under the mutex. */
static bool staffed(struct fb_reader *r, struct queue *q) {
    if (r->stopping) return true; /* nothing will be submitted */
    while (q->workers < q->wanted && start_worker(r, q)) {}
    return q->workers > 0;
}

/* ---- Planning, on the caller's thread, without the mutex. ---- */

static int by_offset(const void *a, const void *b) {
    int64_t x = ((const struct piece *)a)->offset, y = ((const struct piece *)b)->offset;
    return (x > y) - (x < y);
}

/* Makes one piece of those that follow each other in the file and in memory; returns how many are left. */
static size_t fuse(struct piece *pieces, size_t count) {
    size_t kept = 0;
    for (size_t i = 1; i < count; i++) {
        struct piece *last = pieces + kept;
        if (pieces[i].offset == end_of(last) && pieces[i].address == last->address + last->length)
            last->length += pieces[i].length;
        else
            pieces[++kept] = pieces[i];
    }
    return count ? kept + 1 : 0;
}

/* Cuts a piece so that no part's blocks exceed `limit` bytes; counts the parts, and stores them unless out is NULL. */
static size_t cut(struct piece p, int64_t limit, int64_t unit, struct piece *out) {
    size_t count = 0;
    for (; p.length > 0; count++) {
        int64_t length = smaller(p.length, limit - p.offset % unit);
        if (out) {
            out[count] = p;
            out[count].length = length;
        }
        p.offset += length, p.length -= length, p.address += length;
    }
    return count;
}

/* Says of each request how it can be read. */
static void classify(const struct fb_file *f, struct piece *requests, size_t count) {
    for (struct piece *p = requests; p < requests + count; p++) {
        uint64_t bytes = (uint64_t)(p->offset | p->length), address = (uint64_t)(uintptr_t)p->address;
        /* A length or an address that is off its alignment shows in the union of all bits. */
        p->direct = bytes % (uint64_t)f->alignment == 0 && address % (uint64_t)f->address_alignment == 0;
        p->scatter = p->direct && (!f->direct || (bytes | address) % (uint64_t)f->reader->scatter_alignment == 0);
    }
}

static int64_t bounce_limit(const struct fb_reader *r) { return smaller(MAX_BOUNCE, r->max_read); }

static bool cut_all(struct fb_ticket *t, const struct piece *whole, size_t count, size_t *parts) {
    int64_t unit = t->file->alignment, limits[] = {bounce_limit(t->reader), t->reader->max_read};
    *parts = 0;
    for (size_t i = 0; i < count; i++) *parts += cut(whole[i], limits[whole[i].direct], unit, NULL);
    t->pieces = calloc(*parts + 1, sizeof *t->pieces);
    t->runs = calloc(*parts + 1, sizeof *t->runs);
    if (!t->pieces || !t->runs) return false;
    struct piece *out = t->pieces;
    for (size_t i = 0; i < count; i++) out += cut(whole[i], limits[whole[i].direct], unit, out);
    return true;
}

/* Groups neighbouring pieces into runs of limited bytes, blocks and gaps included; of fewer where they are copied. */
static void group(struct fb_ticket *t, size_t count) {
    int64_t limits[] = {bounce_limit(t->reader), t->reader->max_read};
    size_t first = 0;
    bool scatter = count && t->pieces->scatter;
    for (size_t i = 1; i <= count; i++) {
        const struct piece *p = t->pieces + i;
        if (i < count && i - first < MAX_PIECES) {
            int64_t gap = p->offset - end_of(p - 1);
            int64_t start = t->pieces[first].offset;
            start -= start % t->file->alignment;
            bool both = scatter && p->scatter;
            if (gap >= 0 && gap <= t->gap && end_of(p) - start <= limits[both]) {
                scatter = both;
                continue;
            }
        }
        t->runs[t->run_count++] = first;
        first = i;
        scatter = i < count && p->scatter;
    }
    t->runs[t->run_count] = count;
}

static bool plan(struct fb_ticket *t, struct piece *requests, size_t count) {
    size_t parts;
    qsort(requests, count, sizeof *requests, by_offset);
    if (t->gap >= 0) count = fuse(requests, count);
    classify(t->file, requests, count);
    if (!cut_all(t, requests, count, &parts)) return false;
    group(t, parts);
    t->unfinished = t->run_count;
    return true;
}

static void free_ticket(struct fb_ticket *t) {
    if (!t) return;
    free(t->pieces);
    free(t->runs);
    free(t);
}

static struct fb_ticket *new_ticket(struct fb_file *f, const int64_t *offsets, const int64_t *lengths,
                                    const int64_t *places, size_t count, char *destination, int64_t gap) {
    struct fb_ticket *t = calloc(1, sizeof *t);
    struct piece *requests = calloc(count + 1, sizeof *requests);
    bool planned = false;
    if (t && requests) {
        t->reader = f->reader, t->file = f, t->gap = gap;
        for (size_t i = 0; i < count; i++) {
            requests[i] = (struct piece){offsets[i], lengths[i], destination + places[i], false, false};
            t->result.bytes += lengths[i];
        }
        planned = plan(t, requests, count);
    }
    free(requests);
    if (planned) return t;
    free_ticket(t);
    return NULL;
}

static int check(const struct fb_file *f, const int64_t *offsets, const int64_t *lengths, const int64_t *places,
                 size_t count, int64_t bytes, int64_t gap) {
    if (gap < -1 || gap > MAX_BOUNCE) return BAD_GAP;
    bool truncated = false;
    for (size_t i = 0; i < count; i++) {
        if (lengths[i] < 1 || lengths[i] > bytes) return BAD_LENGTH;
        if (offsets[i] < 0) return BAD_OFFSET;
        if (places[i] < 0 || places[i] > bytes - lengths[i]) return BAD_PLACE;
        truncated |= offsets[i] > f->size - lengths[i];
    }
    return truncated ? TRUNCATED : 0;
}

static bool registered(const struct fb_reader *r, const char *address, int64_t bytes) {
    for (const struct region *g = r->regions; g < r->regions + r->region_count; g++)
        if (address >= g->address && address + bytes <= g->address + g->bytes) return true;
    return false;
}

/* ---- Opening a file. ---- */

#ifdef __APPLE__

static void open_direct(struct fb_file *f, const char *path) {
    (void)path;
    if (fcntl(f->fd, F_NOCACHE, 1) < 0) return;
    fcntl(f->fd, F_RDAHEAD, 0);
    f->direct = true;
    f->alignment = f->address_alignment = USUAL_ALIGNMENT; /* anything else is legal, but goes through the cache */
}

#else

static void ask_alignment(struct fb_file *f) {
    f->alignment = f->address_alignment = USUAL_ALIGNMENT;
#ifdef STATX_DIOALIGN
    struct statx s;
    if (statx(f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &s) < 0 || !(s.stx_mask & STATX_DIOALIGN)) return;
    f->alignment = s.stx_dio_offset_align;   /* 0: no direct I/O */
    f->address_alignment = s.stx_dio_mem_align;
#endif
}

/* Whether this descriptor really reads a block: some filesystems accept O_DIRECT and refuse the reads. */
static bool reads_directly(const struct fb_file *f, int fd) {
    struct statfs s;
    if (fstatfs(fd, &s) == 0 && s.f_type == TMPFS_MAGIC) return false; /* takes O_DIRECT, and is nothing but cache */
    if (f->alignment < 1 || f->alignment > MAX_ALIGNMENT || f->address_alignment < 1) return false;
    if (f->address_alignment > USUAL_ALIGNMENT) return false; /* more than a page promises */
    void *block = mmap(NULL, MAX_ALIGNMENT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (block == MAP_FAILED) return false;
    bool ok = pread(fd, block, (size_t)f->alignment, 0) >= 0;
    munmap(block, MAX_ALIGNMENT);
    return ok;
}

/* Adds a direct descriptor beside the cached one, if it is of the same file and works. */
static void open_direct(struct fb_file *f, const char *path) {
    struct stat cached, direct;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
    if (fd < 0) return;
    ask_alignment(f);
    f->direct = fstat(f->fd, &cached) == 0 && fstat(fd, &direct) == 0 && cached.st_dev == direct.st_dev &&
                cached.st_ino == direct.st_ino && reads_directly(f, fd);
    if (f->direct)
        f->fd = fd;
    else
        close(fd);
}

#endif

/* ---- The interface. ---- */

API int fb_version(void) { return VERSION; }

API void fb_reader_stop(struct fb_reader *r) {
    pthread_mutex_lock(&r->mutex);
    bool join = !r->joined;
    r->stopping = r->joined = true;
    pthread_cond_broadcast(&r->blocking.work);
    pthread_cond_broadcast(&r->asynchronous.work);
    pthread_mutex_unlock(&r->mutex);
    for (int i = 0; join && i < r->worker_count; i++) pthread_join(r->workers[i].thread, NULL);
}

API void fb_reader_release(struct fb_reader *r) {
    fb_reader_stop(r);
    pthread_mutex_lock(&r->mutex);
    unlock_and_drop(r);
}

static void init_locks(struct fb_reader *r) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
#ifndef __APPLE__
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
#endif
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->blocking.work, NULL);
    pthread_cond_init(&r->asynchronous.work, NULL);
    pthread_cond_init(&r->done, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* NULL without memory. threads: how many reads are outstanding. scatter_alignment: below it the system reads the pieces of
 * a run one by one. */
API struct fb_reader *fb_reader_new(int threads, int64_t max_read, int64_t scatter_alignment, read_function read) {
    struct fb_reader *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    init_locks(r);
    r->references = 1;
    r->max_read = max_read, r->scatter_alignment = scatter_alignment;
    r->read = read ? read : preadv;
    r->blocking = (struct queue){.end = &r->blocking.first, .wanted = threads, .depth = 1};
    r->asynchronous = (struct queue){.end = &r->asynchronous.first};
#ifndef __APPLE__
    int workers = sysconf(_SC_NPROCESSORS_ONLN) > FEW_CORES ? ASYNCHRONOUS_WORKERS : 1;
    if (workers > threads) workers = threads;
    r->asynchronous.wanted = read ? 0 : workers;
    /* Half as many again: as long as a worker takes what is complete and submits anew, fewer are outstanding. */
    r->asynchronous.depth = (int)smaller((threads + threads / 2 + workers - 1) / workers, MAX_DEPTH);
#endif
    r->workers = calloc((size_t)threads + ASYNCHRONOUS_WORKERS, sizeof *r->workers);
    if (r->workers) return r;
    fb_reader_release(r);
    return NULL;
}

/* The descriptors stay open until the last ticket of the file is complete. */
API void fb_file_close(struct fb_file *f) {
    struct fb_reader *r = f->reader;
    pthread_mutex_lock(&r->mutex);
    r->references++;            /* holds the reader while the file lets go of it */
    drop_file(f);
    unlock_and_drop(r);
}

/* Returns 0, an errno, or NO_THREAD. */
API int fb_file_open(struct fb_reader *r, const char *path, int direct, struct fb_file **out) {
    struct stat s;
    struct fb_file *f = calloc(1, sizeof *f);
    if (!f) return ENOMEM;
    f->fd = f->cached_fd = open(path, O_RDONLY | O_CLOEXEC);
    int error = f->fd < 0 || fstat(f->fd, &s) < 0 ? errno : 0;
    if (!error && !S_ISREG(s.st_mode)) error = S_ISDIR(s.st_mode) ? EISDIR : EINVAL;
    if (error) {
        if (f->fd >= 0) close(f->fd);
        free(f);
        return error;
    }
    f->reader = r, f->size = s.st_size, f->references = 1;
    if (direct) open_direct(f, path);
    if (!f->direct) f->alignment = f->address_alignment = 1;
    pthread_mutex_lock(&r->mutex);
    f->queue = f->direct && staffed(r, &r->asynchronous) ? &r->asynchronous : &r->blocking;
    bool ready = staffed(r, f->queue);
    r->references++;
    pthread_mutex_unlock(&r->mutex);
    if (!ready) {
        fb_file_close(f);
        return NO_THREAD;
    }
    *out = f;
    return 0;
}

API int64_t fb_file_size(const struct fb_file *f) { return f->size; }
API int64_t fb_file_alignment(const struct fb_file *f) { return f->alignment; }
API int fb_file_direct(const struct fb_file *f) { return f->direct; }

API int fb_register(struct fb_reader *r, char *address, int64_t bytes) {
    pthread_mutex_lock(&r->mutex);
    struct region *grown = realloc(r->regions, (r->region_count + 1) * sizeof *grown);
    if (grown) {
        r->regions = grown;
        r->regions[r->region_count++] = (struct region){address, bytes};
    }
    pthread_mutex_unlock(&r->mutex);
    return grown ? 0 : ENOMEM;
}

API void fb_unregister(struct fb_reader *r, const char *address, int64_t bytes) {
    pthread_mutex_lock(&r->mutex);
    for (size_t i = 0; i < r->region_count; i++)
        if (r->regions[i].address == address && r->regions[i].bytes == bytes) {
            r->regions[i] = r->regions[--r->region_count];
            break;
        }
    pthread_mutex_unlock(&r->mutex);
}

/* Starts a batch: `lengths[i]` bytes at `offsets[i]` of the file to byte `places[i]` of a destination of `bytes`.
 * Returns 0, an errno, or one of the reasons above; nothing is read then. */
API int fb_submit(struct fb_file *f, const int64_t *offsets, const int64_t *lengths, const int64_t *places,
                  int64_t count, char *destination, int64_t bytes, int64_t gap, struct fb_ticket **out) {
    struct fb_reader *r = f->reader;
    int refused = check(f, offsets, lengths, places, (size_t)count, bytes, gap);
    if (refused) return refused;
    struct fb_ticket *t = new_ticket(f, offsets, lengths, places, (size_t)count, destination, gap);
    if (!t) return ENOMEM;
    pthread_mutex_lock(&r->mutex);
    if (r->stopping || !registered(r, destination, bytes)) {
        refused = r->stopping ? CLOSED : NOT_REGISTERED;
        pthread_mutex_unlock(&r->mutex);
        free_ticket(t);
        return refused;
    }
    t->submitted = now();
    r->references++;
    f->references++;
    if (t->run_count) {
        if (!r->statistics.in_flight) r->busy_since = t->submitted;
        r->statistics.in_flight += (int64_t)t->run_count;
        enqueue(t);
    } else {
        retire(t, 0, t->submitted); /* an empty batch is complete at once */
    }
    struct queue *q = f->queue;
    int64_t wanted = smaller(((int64_t)t->run_count + q->depth - 1) / q->depth, q->workers);
    pthread_mutex_unlock(&r->mutex); /* first: whoever is woken needs it */
    while (wanted--) pthread_cond_signal(&q->work);
    *out = t;
    return 0;
}

static void wait_done(struct fb_reader *r, double deadline) {
#ifdef __APPLE__
    double left = deadline - now();
    struct timespec t = {(time_t)left, (long)(1e9 * (left - (double)(time_t)left))};
    if (left > 0) pthread_cond_timedwait_relative_np(&r->done, &r->mutex, &t);
#else
    struct timespec t = {(time_t)deadline, (long)(1e9 * (deadline - (double)(time_t)deadline))};
    pthread_cond_timedwait(&r->done, &r->mutex, &t);
#endif
}

/* 1 and the result once the ticket is complete, 0 if it is not within `seconds`. */
API int fb_wait(struct fb_ticket *t, double seconds, struct fb_result *result) {
    struct fb_reader *r = t->reader;
    double deadline = now() + seconds;
    pthread_mutex_lock(&r->mutex);
    while (t->unfinished && now() < deadline) wait_done(r, deadline);
    bool done = !t->unfinished;
    if (done) *result = t->result;
    pthread_mutex_unlock(&r->mutex);
    return done;
}

/* Runs that no thread has taken are skipped; wait for the others. Without effect on a complete ticket. */
API void fb_cancel(struct fb_ticket *t) {
    pthread_mutex_lock(&t->reader->mutex);
    if (t->unfinished) t->result.cancelled = 1;
    skip_rest(t);
    pthread_mutex_unlock(&t->reader->mutex);
}

/* Waits for the ticket, then forgets it: threads may be writing into the caller's memory. */
API void fb_ticket_release(struct fb_ticket *t) {
    struct fb_reader *r = t->reader;
    pthread_mutex_lock(&r->mutex);
    while (t->unfinished) pthread_cond_wait(&r->done, &r->mutex);
    free_ticket(t);
    unlock_and_drop(r);
}

API void fb_reader_statistics(struct fb_reader *r, struct fb_statistics *out) {
    pthread_mutex_lock(&r->mutex);
    *out = r->statistics;
    if (out->in_flight) out->busy_s += now() - r->busy_since;
    out->p50_s = percentile(r, 0.5);
    out->p99_s = percentile(r, 0.99);
    pthread_mutex_unlock(&r->mutex);
}

/* This process's memory now and at its highest, in bytes. Returns 0 or an errno. */
API int fb_footprint(int64_t *current, int64_t *peak) {
#ifdef __APPLE__
    struct rusage_info_v4 usage;
    if (proc_pid_rusage(getpid(), RUSAGE_INFO_V4, (rusage_info_t *)&usage) != 0) return errno;
    *current = (int64_t)usage.ri_phys_footprint;
    *peak = (int64_t)usage.ri_lifetime_max_phys_footprint;
#else
    char line[256];
    FILE *status = fopen("/proc/self/status", "re");
    if (!status) return errno;
    *current = *peak = 0;
    while (fgets(line, sizeof line, status)) {
        if (strncmp(line, "VmRSS:", 6) == 0) *current = strtoll(line + 6, NULL, 10) << 10;
        if (strncmp(line, "VmHWM:", 6) == 0) *peak = strtoll(line + 6, NULL, 10) << 10;
    }
    fclose(status);
#endif
    return 0;
}

/* How short of memory the system is: 1 normal, 2 warning, 4 critical. Linux has no such level. */
API int fb_memory_pressure(void) {
    int level = 1;
#ifdef __APPLE__
    size_t size = sizeof level;
    if (sysctlbyname("kern.memorystatus_vm_pressure_level", &level, &size, NULL, 0) != 0) return 1;
#endif
    return level;
}
