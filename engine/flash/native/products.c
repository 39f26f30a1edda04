/*
 * Multiplies vectors with matrices straight from the bytes that they are stored in, plain or packed, where there is no
 * GPU: rows of experts in slots of a pool, neurons, keys and values, or matrices that are resident.
 *
 * A packed matrix is rows of packed values, in groups that share a scale (and, affine, a bias). A product of one row
 * with one vector is summed in float32, by the same lanes in the same order whatever the number of threads and whatever
 * other rows there are: each result is one thread's. With few vectors it is the same to the bit whatever others there
 * are; of many with the same rows, these are unpacked once; panels.h says how. Where a processor multiplies bytes fast,
 * packed weights are multiplied in integers; integer_products.h says how.
 *
 * Threads sleep when there has been nothing to do for a moment; the caller is one of them, and waits for none that has
 * not begun.
 */

#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MANY_WIDTHS
#include <immintrin.h>
#endif

#define API __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))
#define PRAGMA(text) _Pragma(#text)
#ifdef __clang__
#define UNROLL(count)
#else
#define UNROLL(count) PRAGMA(GCC unroll count)
#endif

enum {
    FEW = 12,                   /* vectors for which a row is not unpacked: each product is what it is alone */
    DOTS = 4,                   /* vectors of a `dots` */
    DEEP = 512,                 /* columns of panels and vectors that are multiplied while they are in a core's cache */
    PANEL_ROWS = 256,           /* of the panels that a thread has at once */
    AHEAD_ROWS = 16,            /* of panels, that are asked of memory before they are wanted */
    QUERIES = 128,              /* of a head that attend to keys while these are panels */
    TASK_BYTES = 128 << 10,     /* of weights that a thread takes at once */
    ALONE_BYTES = 256 << 10,    /* of weights below which no other thread is woken */
    SLICE = 64,                 /* columns, of which a thread takes a multiple */
    KEPT_BYTES = 1 << 20,       /* of room that is kept from call to call */
    CACHE_LINE = 64,            /* bytes */
    AHEAD_BYTES = 4096,         /* of rows that are asked of memory before they are wanted */
    AWAKE_NS = 3000000,         /* that a thread waits for the next product, or for the others' last tasks, before it sleeps */
    MAX_BESIDE = 4,             /* rows of numbers that are multiplied at once */
    MAX_THREADS = 16
};

enum { AFFINE, MXFP4, MXFP8, NVFP4, PLAIN };
enum { F32, F16, BF16 };

#define UNIT(mode) ((mode) == MXFP8 ? 0x1p8f : 1.0f)

/* weight, scales, biases: of the first slot's first row. *_slot, *_row: bytes to the next slot and row. kind: of scales
 * and biases, and of plain weights. */
struct fb_matrix {
    const uint8_t *weight, *scales, *biases;
    int64_t weight_slot, scales_slot, biases_slot, weight_row, scales_row;
    int32_t rows, columns, bits, group, mode, kind;
};

/* The bytes of a row in a slot. */
struct row { const uint8_t *weight, *scales, *biases; };

static struct row row_of(const struct fb_matrix *m, int64_t slot, int64_t r) {
    return (struct row){m->weight + slot * m->weight_slot + r * m->weight_row,
                        m->scales ? m->scales + slot * m->scales_slot + r * m->scales_row : NULL,
                        m->biases ? m->biases + slot * m->biases_slot + r * m->scales_row : NULL};
}

/* Row n of a slot, or, where a slot has no more than n, of those that follow it. */
static struct row row_from(const struct fb_matrix *m, int64_t slot, int64_t n) {
    return row_of(m, slot + n / m->rows, n % m->rows);
}

/* Vectors as `integer_kernels` want them, laid_bytes each, and their sums by group. */
struct vectors { const uint8_t *laid; const float *sums; int64_t laid_bytes, groups; };

/* What multiplies packed weights in integers; integer_products.h says what each does. */
struct integer_kernels {
    bool (*suits)(const struct fb_matrix *);
    int64_t (*laid_bytes)(const struct fb_matrix *), (*room)(const struct fb_matrix *);
    void (*lay_out)(const struct fb_matrix *, const float *, uint8_t *);
    void (*rows)(const struct fb_matrix *, int64_t, int64_t, int64_t, const struct vectors *, const int64_t *, int64_t,
                 int64_t, float *, float *);
};

/* What is made once for every width of vectors; row_products.h and elementwise.h say what each does. */
struct kernels {
    int width, lanes, beside, vectors; /* width: as it is asked for; beside, vectors: rows of `dots_rows`, vectors of
                                        * `add_panel` */
    void (*dots)(const struct fb_matrix *, struct row, const float *const *, const float *const *, float *, float *, int);
    void (*dots_rows)(const struct fb_matrix *, const uint8_t *const *, const uint8_t *const *, const float *,
                      float *);
    void (*unpack)(const struct fb_matrix *, struct row, float *, float *);
    void (*turn)(const float *, int64_t, int64_t, float *), (*take)(const float *, int64_t, float *);
    void (*add_panel)(const float *, const float *, int64_t, float *, int64_t, int64_t, int);
    void (*add)(const struct fb_matrix *, int64_t, const int64_t *, const float *, int64_t, int64_t, int64_t, float *);
    void (*add_laid_out)(const struct fb_matrix *, struct row, float, float *, float *);
    float (*sum)(const float *, int64_t);
    void (*sums)(const float *, int64_t, int64_t, float *);
    void (*softmax)(float *, int64_t, const float *);
    float (*shares)(float *, int64_t, float *, float *);
    void (*weigh)(const struct fb_matrix *, int64_t, const float *, int64_t, float *);
    void (*gate)(float *, const float *, int64_t);
    void (*norm)(const float *, int64_t, float, bool, const float *, const float *, float *);
    const struct integer_kernels *in_integers; /* or NULL */
};

static int64_t up_to(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

static float half_to_float(uint16_t half) {
    uint32_t bits = ((uint32_t)(half & 0x8000) << 16) | ((uint32_t)(half & 0x7FFF) << 13);
    float value;
    memcpy(&value, &bits, 4);
    return value * 0x1p112f;    /* the exponents count from 15 and from 127 */
}

static float bfloat_to_float(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static float number(const uint8_t *at, int kind, int64_t i) {
    if (kind == F32) {
        float value;
        memcpy(&value, at + 4 * i, 4);
        return value;
    }
    uint16_t half;
    memcpy(&half, at + 2 * i, 2);
    return kind == F16 ? half_to_float(half) : bfloat_to_float(half);
}

/* An 8-bit float of four bits of exponent. */
static float e4m3(uint8_t v) {
    uint32_t magnitude = v & 127, bits = (magnitude << 20) + (120u << 23);
    float value;
    memcpy(&value, &bits, 4);
    if (magnitude < 8) value = (float)magnitude * 0x1p-9f;
    return v & 128 ? -value : value;
}

static float power_of_two(uint8_t exponent) {
    if (exponent == 0) return 0x1p-127f;
    uint32_t bits = (uint32_t)exponent << 23;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static const int32_t LANE_NUMBERS[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

#define LANES 4
#define BESIDE 1
#define VECTORS 6
#define NAME(f) f##_4
#include "width.h"

#ifdef MANY_WIDTHS
static const float E2M1[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
static const float COUNTING[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define LANES 8
#define BESIDE 2
#define VECTORS 6
#define NAME(f) f##_8
#include "width.h"
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,prefer-vector-width=512")
#define LANES 16
#define BESIDE 4
#define VECTORS 12
#define NAME(f) f##_16
#include "width.h"
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4,avx512vnni,prefer-vector-width=512")
#include "integer_products.h"
#pragma GCC pop_options

static struct kernels kernels_64; /* those of sixteen lanes, and packed weights in integers */
#endif

static const struct kernels *widest(void) {
#ifdef MANY_WIDTHS
    kernels_64 = kernels_16;
    kernels_64.width = 64, kernels_64.in_integers = &integer_products;
    if (__builtin_cpu_supports("x86-64-v4")) return __builtin_cpu_supports("avx512vnni") ? &kernels_64 : &kernels_16;
    if (__builtin_cpu_supports("x86-64-v3")) return &kernels_8;
#endif
    return &kernels_4;
}

static const struct kernels *kernels;

/* One call's work: tasks 0 to count - 1. room: a thread's own, of `room` floats. */
struct job {
    void (*task)(const struct job *, int64_t index, float *room);
    int64_t count, room;
    const struct fb_matrix *m;
    int64_t step;               /* rows or columns of a task */

    const float *given;         /* [vectors, columns] */
    const float *x;             /* [vectors, padded], as the kernels of few vectors want them */
    const float *sums;          /* [vectors, groups] */
    const struct integer_kernels *integers; /* of runs of few pairs; or NULL */
    struct vectors laid;        /* which they take in the place of both */
    const int64_t *vectors, *slots; /* by pair; vectors: NULL where pair p has vector p */
    int64_t pairs, padded, groups;
    int64_t height;             /* rows of a run, counted on through the slots that follow */
    float *y;                   /* [pairs, height], or [pairs, columns] of rows that are added */
    const struct fb_matrix *beside; /* that is multiplied as well, its products in beside_y */
    float *beside_y;
    bool beside_each_other;     /* numbers, with one vector and one pair a run */
    const int64_t *runs;        /* the first pair of each run of pairs with one slot */
    int64_t run_count;

    const int64_t *rows;        /* that are added; NULL for all */
    const float *weights;       /* [pairs, row_count] */
    int64_t row_count, slices;

    const float *sinks;         /* by pair, or NULL: of attention, whose keys are `m` and values `beside` */
    int64_t heads;              /* of a slot */
    int64_t queries, before;    /* of a head: how many, and the tokens before the first that it sees; < 0 for all */
    const uint8_t *shown;       /* by head, query and token, where it is to be seen; or NULL */
    int64_t shown_head, shown_query; /* bytes to the next */

    int64_t columns;            /* of vectors that are normed */
    float epsilon;
    bool centred;
    const float *biases;        /* of norms, beside `weights` */

    const float *numbers;       /* that are summed, `total` of them */
    int64_t total;
    float *totals;              /* by task */
};

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t work, done;
    const struct job *job;      /* NULL unless threads may still begin with it */
    _Atomic int64_t next;
    _Atomic uint64_t turn;      /* of the job, so that nobody begins with it twice */
    _Atomic int busy;
    int workers;
} pool = {.mutex = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

/* Held during a call, as is its room, which is kept as long as it is small. */
static pthread_mutex_t one_caller = PTHREAD_MUTEX_INITIALIZER;
static void *kept_room;
static size_t kept_bytes;

static void *room_of(size_t size) {
    if (kept_bytes >= size) return kept_room;
    free(kept_room);
    size = (size_t)up_to((int64_t)size, CACHE_LINE);
    kept_room = aligned_alloc(CACHE_LINE, size);
    kept_bytes = kept_room ? size : 0;
    return kept_room;
}

static void leave_room(void) {
    if (kept_bytes <= KEPT_BYTES) return;
    free(kept_room);
    kept_room = NULL, kept_bytes = 0;
}

static void do_tasks(const struct job *j, float *room) {
    int64_t index;
    while ((index = atomic_fetch_add_explicit(&pool.next, 1, memory_order_relaxed)) < j->count) j->task(j, index, room);
}

static int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* True as soon as there is another job than `turn`; false where there was none for a moment. A layer's products follow
 * each other in less time than it takes to wake somebody on a busy processor. */
static bool comes_soon(uint64_t turn) {
    pthread_mutex_unlock(&pool.mutex);
    for (int64_t until = now_ns() + AWAKE_NS; pool.turn == turn && now_ns() < until;) sched_yield();
    pthread_mutex_lock(&pool.mutex);
    return pool.turn != turn;
}

static void *work(void *unused) {
    (void)unused;
    uint64_t turn = 0;
    pthread_mutex_lock(&pool.mutex);
    for (;;) {
        while (!pool.job || pool.turn == turn)
            if (!comes_soon(pool.turn)) pthread_cond_wait(&pool.work, &pool.mutex);
        const struct job *j = pool.job;
        turn = pool.turn;
        pool.busy++;
        pthread_mutex_unlock(&pool.mutex);
        float *room = aligned_alloc(CACHE_LINE, (size_t)up_to(4 * j->room + 1, CACHE_LINE));
        if (room) do_tasks(j, room); /* without it, the others do it */
        free(room);
        pthread_mutex_lock(&pool.mutex);
        if (--pool.busy == 0) pthread_cond_signal(&pool.done);
    }
    return NULL;
}

static void start_workers(int wanted) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    while (pool.workers < wanted) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, work, NULL) != 0) break;
        pool.workers++;
    }
    pthread_attr_destroy(&attributes);
}

/* Does a job with so many threads, the caller among them. */
static void run(const struct job *j, float *room, int threads) {
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    if (threads > j->count) threads = (int)j->count;
    atomic_store_explicit(&pool.next, 0, memory_order_relaxed);
    if (threads < 2) {
        do_tasks(j, room);
        return;
    }
    pthread_mutex_lock(&pool.mutex);
    start_workers(threads - 1);
    pool.job = j;
    pool.turn++;
    pthread_mutex_unlock(&pool.mutex);
    for (int i = 1; i < threads; i++) pthread_cond_signal(&pool.work);
    do_tasks(j, room);
    pthread_mutex_lock(&pool.mutex);
    pool.job = NULL;
    pthread_mutex_unlock(&pool.mutex);
    for (int64_t until = now_ns() + AWAKE_NS; pool.busy && now_ns() < until;) sched_yield();
    pthread_mutex_lock(&pool.mutex);
    while (pool.busy) pthread_cond_wait(&pool.done, &pool.mutex);
    pthread_mutex_unlock(&pool.mutex);
}

static int64_t run_end(const struct job *j, int64_t run) {
    return run + 1 < j->run_count ? j->runs[run + 1] : j->pairs;
}

static bool is_of_many(const struct job *j, int64_t run) { return run_end(j, run) - j->runs[run] > FEW; }

/* Rows [first, last) of one run's slot, with all of its pairs, few. room: for scales and biases. */
static void multiply_few(const struct job *j, int64_t run, int64_t first, int64_t last, float *room) {
    const struct fb_matrix *m = j->m;
    int64_t end = run_end(j, run), slot = j->slots[j->runs[run]];
    for (int64_t p = j->runs[run]; p < end; p += DOTS) {
        const float *x[DOTS], *sums[DOTS];
        float products[DOTS];
        int vectors = end - p < DOTS ? (int)(end - p) : DOTS;
        for (int v = 0; v < vectors; v++) {
            x[v] = j->x + j->vectors[p + v] * j->padded;
            sums[v] = j->sums + j->vectors[p + v] * j->groups;
        }
        for (int64_t i = first; i < last; i++) {
            kernels->dots(m, row_of(m, slot, i), x, sums, products, room, vectors);
            for (int v = 0; v < vectors; v++) j->y[(p + v) * m->rows + i] = products[v];
        }
    }
}

static int64_t bytes_of(const struct fb_matrix *m, int64_t columns) {
    return m->mode == PLAIN ? columns * (m->kind == F32 ? 4 : 2) : columns * m->bits / 8;
}

static int64_t row_bytes(const struct fb_matrix *m) { return bytes_of(m, m->columns) + 1; }

/* The columns from `first` on of a matrix: of a packed one, whole groups. */
static struct fb_matrix columns_of(const struct fb_matrix *m, int64_t first, int64_t last) {
    struct fb_matrix part = *m;
    int64_t item = m->kind == F32 ? 4 : 2;
    part.columns = (int32_t)(last - first);
    part.weight += bytes_of(m, first);
    if (part.scales) part.scales += first / m->group * (m->mode == AFFINE ? item : 1);
    if (part.biases) part.biases += first / m->group * item;
    return part;
}

/* A thread's room for products of many vectors, by its parts. */
struct panels { float *panels, *x, *rows, *scales; };

static int64_t panels_room(void) { return (PANEL_ROWS + kernels->vectors + kernels->lanes) * DEEP + DEEP; }

static struct panels panels_in(float *room) {
    struct panels p = {.panels = room, .x = room + PANEL_ROWS * DEEP};
    p.rows = p.x + kernels->vectors * DEEP, p.scales = p.rows + kernels->lanes * DEEP;
    return p;
}

/* Rows [first, last) from a slot's first on become panels, of all columns of a matrix. */
static void turn_rows(const struct fb_matrix *m, int64_t slot, int64_t first, int64_t last, struct panels to) {
    int64_t lanes = kernels->lanes, count = up_to(last - first, 2 * lanes);
    for (int64_t r = 0; r < count; r += lanes) {
        for (int64_t k = 0; k < lanes; k++) {
            int64_t row = first + r + k < last ? first + r + k : last - 1; /* somebody in every lane */
            kernels->unpack(m, row_from(m, slot, row), to.rows + k * DEEP, to.scales);
        }
        kernels->turn(to.rows, DEEP, up_to(m->columns, lanes), to.panels + (r - r % (2 * lanes)) * DEEP + r % (2 * lanes));
    }
}

/* So many panels of `count` columns with the vectors of pairs [begin, end), from element `first` of each on. y: of the
 * first pair, `step` from each to the next; `rows` lanes count. */
static void add_panels(const struct job *j, const float *x, int64_t x_step, int64_t first, int64_t count, int64_t begin,
                       int64_t end, int64_t rows, float *y, int64_t step, struct panels of) {
    int64_t wide = 2 * kernels->lanes;
    for (int64_t p = begin; p < end; p += kernels->vectors) {
        int vectors = end - p < kernels->vectors ? (int)(end - p) : kernels->vectors;
        for (int64_t v = 0; v < kernels->vectors; v++) {
            int64_t pair = v < vectors ? p + v : p, vector = j->vectors ? j->vectors[pair] : pair;
            memcpy(of.x + v * DEEP, x + vector * x_step + first, (size_t)count * sizeof *x);
        }
        for (int64_t r = 0; r < rows; r += wide)
            kernels->add_panel(of.panels + r * DEEP, of.x, count, y + p * step + r, step, rows - r < wide ? rows - r : wide,
                               vectors);
    }
}

/* Rows [first, last) of one run's slot, with all of its pairs, many. */
static void multiply_many(const struct job *j, int64_t run, int64_t first, int64_t last, float *room) {
    int64_t begin = j->runs[run], end = run_end(j, run), columns = j->m->columns;
    struct panels panels = panels_in(room);
    for (int64_t p = begin; p < end; p++) memset(j->y + p * j->height + first, 0, (size_t)(last - first) * sizeof *j->y);
    for (int64_t c = 0; c < columns; c += DEEP) {
        int64_t stop = c + DEEP < columns ? c + DEEP : columns;
        struct fb_matrix part = columns_of(j->m, c, stop);
        turn_rows(&part, j->slots[begin], first, last, panels);
        add_panels(j, j->given, columns, c, stop - c, begin, end, last - first, j->y + first, j->height, panels);
    }
}

static void many_task(const struct job *j, int64_t index, float *room) {
    int64_t first = index * j->step, last = first + j->step < j->height ? first + j->step : j->height;
    multiply_many(j, 0, first, last, room);
}

/* Asks memory for bytes that are wanted soon. */
static void ask_for(const uint8_t *bytes, int64_t count) {
    for (int64_t i = 0; i < count; i += CACHE_LINE) __builtin_prefetch(bytes + i, 0, 2);
}

/* Columns of rows [first, last) from a slot's first on become panels, as they are. */
static void take_rows(const struct fb_matrix *m, int64_t slot, int64_t first, int64_t last, struct panels to) {
    for (int64_t r = first; r < last; r++) {
        kernels->unpack(m, row_from(m, slot, r), to.rows, to.scales);
        kernels->take(to.rows, m->columns, to.panels + (r - first) * 2 * kernels->lanes);
        ask_for(row_from(m, slot, r + AHEAD_ROWS < last ? r + AHEAD_ROWS : r).weight, bytes_of(m, m->columns));
    }
}

/* Some columns of what is added to y, as of many vectors. */
static void add_many_task(const struct job *j, int64_t index, float *room) {
    int64_t first = index * j->step, last = first + j->step < j->m->columns ? first + j->step : j->m->columns;
    struct fb_matrix part = columns_of(j->m, first, last);
    struct panels panels = panels_in(room);
    memset(panels.rows, 0, 2 * PANEL_ROWS * sizeof *room); /* behind the last column */
    for (int64_t r = 0; r < j->height; r += DEEP) {
        int64_t stop = r + DEEP < j->height ? r + DEEP : j->height;
        take_rows(&part, j->slots[0], r, stop, panels);
        add_panels(j, j->given, j->height, r, stop - r, 0, j->pairs, last - first, j->y + first, j->m->columns, panels);
    }
}

static void multiply_run(const struct job *j, int64_t run, int64_t first, int64_t last, float *room) {
    if (is_of_many(j, run))
        multiply_many(j, run, first, last, room);
    else if (j->integers)
        j->integers->rows(j->m, j->slots[j->runs[run]], first, last, &j->laid, j->vectors, j->runs[run], run_end(j, run),
                          j->y, room);
    else
        multiply_few(j, run, first, last, room);
}

/* y becomes silu(y) * beside_y, of a gated FFN. */
static void multiply_gated(const struct job *j, int64_t run, int64_t first, int64_t last, float *room) {
    struct job beside = *j;
    beside.m = j->beside, beside.y = j->beside_y;
    multiply_run(j, run, first, last, room);
    multiply_run(&beside, run, first, last, room);
    for (int64_t p = j->runs[run]; p < run_end(j, run); p++)
        kernels->gate(j->y + p * j->m->rows + first, j->beside_y + p * j->m->rows + first, last - first);
}

/* Rows of numbers from the one on that is number n of all runs' rows, with the one vector: several at a time, of whatever
 * slots. Returns the number of the first that is left. */
static int64_t multiply_beside(const struct job *j, int64_t n, int64_t end) {
    const uint8_t *rows[2 * MAX_BESIDE];
    int64_t some = kernels->beside, all = j->m->rows * j->pairs;
    for (; n + some <= end; n += some) {
        for (int64_t k = 0; k < 2 * some; k++) {
            int64_t at = n + k < all ? n + k : all - 1;
            rows[k] = row_of(j->m, j->slots[at / j->m->rows], at % j->m->rows).weight;
        }
        kernels->dots_rows(j->m, rows, rows + some, j->x, j->y + n);
    }
    return n;
}

static void multiply_task(const struct job *j, int64_t index, float *room) {
    int64_t rows = j->height, at = index * j->step, end = at + j->step;
    if (end > rows * j->run_count) end = rows * j->run_count;
    if (j->beside_each_other) at = multiply_beside(j, at, end);
    while (at < end) {
        int64_t run = at / rows, last = end < (run + 1) * rows ? end : (run + 1) * rows;
        (j->beside ? multiply_gated : multiply_run)(j, run, at - run * rows, last - run * rows, room);
        at = last;
    }
}

/* Values that a lane's word has; 1 of a plain matrix. */
static int values_a_word(const struct fb_matrix *m) {
    if (m->mode == PLAIN) return 1;
    if (m->mode == MXFP8) return 2;
    return m->bits == 5 || m->bits == 6 ? 4 : m->bits == 3 ? 8 : 32 / m->bits;
}

/* A vector's elements as the kernels want them, with zeros behind. */
static void lay_out(const float *x, int64_t columns, int64_t padded, int64_t per, float *to) {
    int64_t lanes = kernels->lanes;
    for (int64_t block = 0; block < padded; block += lanes * per)
        for (int64_t l = 0; l < lanes; l++)
            for (int64_t k = 0; k < per; k++) {
                int64_t from = block + l * per + k;
                to[block + k * lanes + l] = from < columns ? x[from] : 0;
            }
}

/* A vector's elements in their own order again. */
static void take_back(const float *from, int64_t columns, int64_t per, float *to) {
    int64_t lanes = kernels->lanes;
    for (int64_t at = 0; at < columns; at++) {
        int64_t in_block = at % (lanes * per);
        to[at] = from[at - in_block + in_block % per * lanes + in_block / per];
    }
}

static void add_task(const struct job *j, int64_t index, float *room) {
    (void)room;
    int64_t pair = index / j->slices, first = index % j->slices * j->step;
    int64_t last = first + j->step < j->m->columns ? first + j->step : j->m->columns;
    kernels->add(j->m, j->slots[pair], j->rows, j->weights + pair * j->row_count, j->row_count, first, last,
                 j->y + pair * j->m->columns);
}

/* Attention of some heads of one slot, at most DOTS. */
static void attend_task(const struct job *j, int64_t index, float *room) {
    const struct fb_matrix *keys = j->m, *values = j->beside;
    int64_t slot = index / j->slices, first = index % j->slices * j->step, r = 0;
    int count = (int)(j->heads - first < j->step ? j->heads - first : j->step);
    const float *q[DOTS];
    float products[DOTS];
    first += slot * j->heads;
    for (int h = 0; h < count; h++) q[h] = j->x + (first + h) * keys->columns;
    for (int64_t some = kernels->beside; count == 1 && r + some <= keys->rows; r += some) {
        const uint8_t *rows[2 * MAX_BESIDE];
        for (int64_t k = 0; k < 2 * some; k++) rows[k] = row_of(keys, slot, r + k).weight;
        kernels->dots_rows(keys, rows, rows + some, q[0], room + r);
    }
    for (; r < keys->rows; r++) {
        kernels->dots(keys, row_of(keys, slot, r), q, NULL, products, NULL, count);
        for (int h = 0; h < count; h++) room[h * keys->rows + r] = products[h];
    }
    for (int h = 0; h < count; h++) {
        float *shares = room + h * keys->rows;
        kernels->softmax(shares, keys->rows, j->sinks ? j->sinks + first + h : NULL);
        kernels->weigh(values, slot, shares, values->rows, j->y + (first + h) * values->columns);
    }
}

static void add_packed_task(const struct job *j, int64_t index, float *room) {
    int64_t pair = index / j->slices, first = index % j->slices * j->step;
    int64_t last = first + j->step < j->m->columns ? first + j->step : j->m->columns;
    struct fb_matrix m = columns_of(j->m, first, last);
    int64_t per = values_a_word(&m), padded = up_to(m.columns, kernels->lanes * per);
    float *y = j->y + pair * j->m->columns + first, *laid_out = room, *scales = room + padded;
    lay_out(y, m.columns, padded, per, laid_out);
    for (int64_t i = 0; i < j->row_count; i++) {
        float weight = j->weights[pair * j->row_count + i];
        if (weight == 0) continue;
        kernels->add_laid_out(&m, row_from(&m, j->slots[pair], j->rows ? j->rows[i] : i), weight, laid_out, scales);
    }
    take_back(laid_out, m.columns, per, y);
}

static void sum_task(const struct job *j, int64_t index, float *room) {
    (void)room;
    int64_t first = index * j->step, count = j->total - first < j->step ? j->total - first : j->step;
    j->totals[index] = kernels->sum(j->numbers + first, count);
}

/* Rows of a task. unit: they are a multiple of it. */
static int64_t rows_of_task(const struct job *j, int64_t unit, bool many, int threads) {
    int64_t rows = j->height * j->run_count, step = TASK_BYTES / row_bytes(j->m);
    if (many && step < PANEL_ROWS) step = PANEL_ROWS;
    if (step * 4 * threads > rows) step = rows / (4 * threads);
    step = step < unit ? unit : up_to(step, unit);
    return many && step > PANEL_ROWS ? PANEL_ROWS : step;
}

/* Room for vectors: where they are laid out as floats, as integers, and where their sums are, by float; its floats. */
struct places { int64_t floats, integers, sums, count; };

static struct places places_of(const struct job *j, int64_t count, bool as_it_is, bool few) {
    struct places p = {0};
    if (!few) return p;
    p.integers = as_it_is || j->integers ? 0 : up_to(count * j->padded, CACHE_LINE / 4);
    p.sums = p.integers + (j->integers ? count * j->laid.laid_bytes / 4 : 0);
    p.count = up_to(p.sums + count * j->groups, CACHE_LINE / 4);
    return p;
}

/* Of every vector its elements laid out, and its sums by group. */
static void lay_out_all(struct job *j, const float *x, int64_t count, struct places p, float *room) {
    int64_t columns = j->m->columns, per = values_a_word(j->m), laid = j->laid.laid_bytes / 4;
    j->sums = j->laid.sums = room + p.sums;
    j->laid.laid = (const uint8_t *)(room + p.integers), j->laid.groups = j->groups;
    if (p.integers > p.floats) j->x = room;
    for (int64_t v = 0; v < count; v++, x += columns) {
        if (j->groups) kernels->sums(x, j->groups, j->m->group, room + p.sums + v * j->groups);
        if (p.integers > p.floats) lay_out(x, columns, j->padded, per, room + v * j->padded);
        if (p.sums > p.integers) j->integers->lay_out(j->m, x, (uint8_t *)(room + p.integers + v * laid));
    }
}

/* Says where a job's runs begin, and whether any is of few pairs, any of many. Returns false without memory. */
static bool find_runs(struct job *j, bool *few, bool *many) {
    int64_t *runs = malloc((size_t)(j->pairs + 1) * sizeof *runs);
    for (int64_t p = 0; runs && p < j->pairs; p++)
        if (p == 0 || j->slots[p] != j->slots[p - 1]) runs[j->run_count++] = p;
    j->runs = runs, *few = *many = false;
    for (int64_t run = 0; run < j->run_count; run++) *(is_of_many(j, run) ? many : few) = true;
    return runs;
}

/* Does a product's job. x: [count, columns]. Returns false where there is no memory. */
static bool multiply(struct job *j, const float *x, int64_t count, int threads) {
    const struct fb_matrix *m = j->m;
    const struct integer_kernels *integers = kernels->in_integers;
    bool few, many, found = find_runs(j, &few, &many);
    if (integers && m->mode != PLAIN && integers->suits(m)) j->integers = integers, j->laid.laid_bytes = integers->laid_bytes(m);
    j->task = multiply_task, j->given = j->x = x, j->height = m->rows;
    j->groups = m->group ? m->columns / m->group : 0;
    j->padded = up_to(m->columns, kernels->lanes * values_a_word(m));
    bool as_it_is = j->padded == m->columns && m->mode == PLAIN;
    j->beside_each_other = m->mode == PLAIN && count == 1 && j->run_count == j->pairs && !j->beside;
    struct places places = places_of(j, count, as_it_is, few);
    j->room = 2 * (j->groups + kernels->lanes);
    if (few && j->integers && integers->room(m) > j->room) j->room = integers->room(m);
    if (many && panels_room() > j->room) j->room = panels_room();
    float *room = found ? room_of((size_t)(places.count + j->room) * sizeof *room) : NULL;
    if (room && j->pairs && m->rows) {
        if (few && !as_it_is) lay_out_all(j, x, count, places, room);
        int64_t rows = m->rows * j->run_count;
        j->step = rows_of_task(j, many ? 2 * kernels->lanes : 2 * kernels->beside, many, threads);
        j->count = (rows + j->step - 1) / j->step;
        run(j, room + places.count, rows * row_bytes(m) * (1 + j->pairs / j->run_count / FEW) < ALONE_BYTES ? 1 : threads);
    }
    free((void *)j->runs);
    return room;
}

/* y[p] = matrix of slots[p] times x[vectors[p]], for every pair; pairs of one slot that follow each other are done
 * together. x: float32 [count, columns]; y: float32 [pairs, rows]. threads: at most so many, the caller's among them.
 * Returns 0, or ENOMEM's stand-in 1. Calls from several threads wait for each other. */
API int fb_multiply(const struct fb_matrix *m, const float *x, int64_t count, const int64_t *vectors,
                    const int64_t *slots, int64_t pairs, float *y, int threads) {
    pthread_mutex_lock(&one_caller);
    if (!kernels) kernels = widest();
    struct job j = {.m = m, .vectors = vectors, .slots = slots, .pairs = pairs, .y = y};
    bool done = multiply(&j, x, count, threads);
    leave_room();
    pthread_mutex_unlock(&one_caller);
    return !done;
}

/* y[v] = so many rows, from a slot's first on and counted on through the slots that follow, times x[v], as of many vectors
 * however few there are. x: float32 [count, columns]; y: [count, rows]. Returns 0, or 1 where there is no memory. */
API int fb_multiply_many(const struct fb_matrix *m, int64_t slot, int64_t rows, const float *x, int64_t count, float *y,
                         int threads) {
    int64_t one_run = 0;
    pthread_mutex_lock(&one_caller);
    if (!kernels) kernels = widest();
    struct job j = {.m = m, .task = many_task, .given = x, .slots = &slot, .pairs = count, .runs = &one_run, .run_count = 1};
    j.height = rows, j.y = y, j.room = panels_room();
    j.step = rows_of_task(&j, 2 * kernels->lanes, true, threads);
    j.count = count ? (rows + j.step - 1) / j.step : 0;
    float *room = room_of((size_t)j.room * sizeof *room);
    if (room) run(&j, room, rows * row_bytes(m) * (1 + count / FEW) < ALONE_BYTES ? 1 : threads);
    leave_room();
    pthread_mutex_unlock(&one_caller);
    return !room;
}

/* y[v] += so many rows, from a slot's first on and counted on through the slots that follow, times weights[v], row after
 * row, so that a sum may be made in several calls. weights: float32 [count, rows]; y: [count, columns]. Returns 0, or 1
 * where there is no memory. */
API int fb_add_many(const struct fb_matrix *m, int64_t slot, int64_t rows, const float *weights, int64_t count, float *y,
                    int threads) {
    pthread_mutex_lock(&one_caller);
    if (!kernels) kernels = widest();
    struct job j = {.m = m, .task = add_many_task, .given = weights, .slots = &slot, .pairs = count, .height = rows, .y = y};
    int64_t unit = m->group > 2 * kernels->lanes ? m->group : 2 * kernels->lanes;
    j.room = panels_room();
    j.step = up_to((m->columns + 4 * threads - 1) / (4 * threads), unit);
    if (j.step > PANEL_ROWS) j.step = PANEL_ROWS;
    j.count = count ? (m->columns + j.step - 1) / j.step : 0;
    float *room = room_of((size_t)j.room * sizeof *room);
    if (room) run(&j, room, rows * row_bytes(m) * (1 + count / FEW) < ALONE_BYTES ? 1 : threads);
    leave_room();
    pthread_mutex_unlock(&one_caller);
    return !room;
}

/* y[p] = down times (silu(gate times x[vectors[p]]) * (up times x[vectors[p]])), matrices of slots[p], as fb_multiply.
 * gate and up are of one form and size. */
API int fb_multiply_gated(const struct fb_matrix *gate, const struct fb_matrix *up, const struct fb_matrix *down,
                          const float *x, int64_t count, const int64_t *vectors, const int64_t *slots, int64_t pairs,
                          float *y, int threads) {
    size_t hidden = (size_t)(pairs * gate->rows);
    float *products = malloc((2 * hidden + 1) * sizeof *products);
    int64_t *own = malloc((size_t)(pairs + 1) * sizeof *own);
    bool done = products && own;
    for (int64_t p = 0; own && p < pairs; p++) own[p] = p;
    pthread_mutex_lock(&one_caller);
    if (!kernels) kernels = widest();
    struct job first = {.m = gate, .beside = up, .vectors = vectors, .slots = slots, .pairs = pairs, .y = products};
    struct job second = {.m = down, .vectors = own, .slots = slots, .pairs = pairs, .y = y};
    if (done) first.beside_y = products + hidden, done = multiply(&first, x, count, threads);
    if (done) done = multiply(&second, products, pairs, threads);
    leave_room();
    pthread_mutex_unlock(&one_caller);
    free(products);
    free(own);
    return !done;
}

/* y[p] += for every pair the rows of its slot times weights[p], row after row, so that a sum may be made in several
 * calls and rows of weight 0 left out without a change. rows: int64 [count], the same for all pairs, and counted on
 * through the slots that follow; NULL for the first `count`. weights: float32 [pairs, count]; y: float32 [pairs,
 * columns]. Returns 0, or 1 where there is no memory. */
API int fb_add_rows(const struct fb_matrix *m, const int64_t *slots, int64_t pairs, const int64_t *rows,
                    const float *weights, int64_t count, float *y, int threads) {
    pthread_mutex_lock(&one_caller);
    if (!kernels) kernels = widest();
    bool plain = m->mode == PLAIN;
    struct job j = {.m = m, .slots = slots, .pairs = pairs, .rows = rows, .weights = weights, .y = y};
    j.task = plain ? add_task : add_packed_task;
    j.row_count = count;
    if (pairs * count * row_bytes(m) < ALONE_BYTES) threads = 1;
    j.step = up_to((m->columns + threads - 1) / threads, plain || m->group < SLICE ? SLICE : m->group);
    j.slices = (m->columns + j.step - 1) / j.step;
    j.count = pairs * j.slices;
    if (!plain) j.room = up_to(j.step, kernels->lanes * values_a_word(m)) + 2 * (j.step / m->group + kernels->lanes);
    float *room = room_of((size_t)(j.room + 1) * sizeof *room);
    if (room) run(&j, room, threads);
    leave_room();
    pthread_mutex_unlock(&one_caller);
    return !room;
}

/* Hides from a block of queries, from `first` on, those of the keys [begin, end) that are not theirs. */
static void hide(const struct job *j, int64_t head, int64_t first, int64_t count, int64_t begin, int64_t end, float *scores) {
    for (int64_t q = 0; q < count; q++, scores += PANEL_ROWS) {
        int64_t seen = j->before < 0 ? end : j->before + first + q + 1;
        const uint8_t *shown = j->shown ? j->shown + head * j->shown_head + (first + q) * j->shown_query : NULL;
        for (int64_t t = begin; shown && t < end; t++)
            if (!shown[t]) scores[t - begin] = -INFINITY;
        for (int64_t t = seen > begin ? seen : begin; t < end; t++) scores[t - begin] = -INFINITY;
    }
}

/* Scores of some queries, at most QUERIES, with keys [begin, end), at most PANEL_ROWS. */
static void score(const struct job *j, int64_t slot, const float *q, int64_t count, int64_t begin, int64_t end,
                  float *scores, struct panels panels) {
    int64_t columns = j->m->columns;
    memset(scores, 0, (size_t)(count * PANEL_ROWS) * sizeof *scores);
    for (int64_t c = 0; c < columns; c += DEEP) {
        int64_t stop = c + DEEP < columns ? c + DEEP : columns;
        struct fb_matrix part = columns_of(j->m, c, stop);
        turn_rows(&part, slot, begin, end, panels);
        add_panels(j, q, columns, c, stop - c, 0, count, end - begin, scores, PANEL_ROWS, panels);
    }
}

/* Adds values [begin, end), each times its share, to y. */
static void add_values(const struct job *j, int64_t slot, const float *shares, int64_t count, int64_t begin, int64_t end,
                       float *y, struct panels panels) {
    int64_t columns = j->beside->columns;
    for (int64_t c = 0; c < columns; c += PANEL_ROWS) {
        int64_t stop = c + PANEL_ROWS < columns ? c + PANEL_ROWS : columns;
        struct fb_matrix part = columns_of(j->beside, c, stop);
        take_rows(&part, slot, begin, end, panels);
        add_panels(j, shares, PANEL_ROWS, 0, end - begin, 0, count, stop - c, y + c, columns, panels);
    }
}

/* Attention of some queries of one head, to some keys after the other: shares are in units of the largest score so far. */
static void attend_many_task(const struct job *j, int64_t index, float *room) {
    int64_t head = index / j->slices, first = index % j->slices * QUERIES, slot = head / j->heads, width = j->beside->columns;
    int64_t count = j->queries - first < QUERIES ? j->queries - first : QUERIES, tokens = j->m->rows;
    struct panels panels = panels_in(room);
    float *scores = room + panels_room(), tops[QUERIES], sums[QUERIES], *y = j->y + (head * j->queries + first) * width;
    memset(panels.rows, 0, 2 * PANEL_ROWS * sizeof *room);
    memset(y, 0, (size_t)(count * width) * sizeof *y);
    for (int64_t q = 0; q < count; q++) tops[q] = j->sinks ? j->sinks[head] : -INFINITY, sums[q] = j->sinks ? 1 : 0;
    if (j->before >= 0 && j->before + first + count < tokens) tokens = j->before + first + count;
    for (int64_t t = 0; t < tokens; t += PANEL_ROWS) {
        int64_t end = t + PANEL_ROWS < tokens ? t + PANEL_ROWS : tokens;
        score(j, slot, j->given + (head * j->queries + first) * j->m->columns, count, t, end, scores, panels);
        hide(j, head, first, count, t, end, scores);
        for (int64_t q = 0; q < count; q++) {
            float scale = kernels->shares(scores + q * PANEL_ROWS, end - t, tops + q, sums + q);
            for (int64_t c = 0; scale != 1 && c < width; c++) y[q * width + c] *= scale;
        }
        add_values(j, slot, scores, count, t, end, y, panels);
    }
    for (int64_t q = 0; q < count; q++)
        for (int64_t c = 0; c < width; c++) y[q * width + c] /= sums[q];
}

/* One token's attention: y[h] is the sum of the values of head h's slot, each times its share in the softmax of the slot's
 * keys times q[h]. keys, values: plain, of each slot a row a token. q: float32 [slots * heads, keys' columns]; y: [slots *
 * heads, values' columns]. sinks: a score by head that has no value; or NULL. Returns 0, or 1 where there is no memory. */
API int fb_attend(const struct fb_matrix *keys, const struct fb_matrix *values, const float *q, int64_t slots,
                  int64_t heads, const float *sinks, float *y, int threads) {
    pthread_mutex_lock(&one_caller);
    if (!kernels) kernels = widest();
    struct job j = {.task = attend_task, .m = keys, .beside = values, .x = q, .heads = heads, .sinks = sinks, .y = y};
    if (slots * heads * keys->rows * (row_bytes(keys) + row_bytes(values)) < ALONE_BYTES) threads = 1;
    int64_t share = (slots * heads + threads - 1) / threads;
    j.step = heads < share ? heads : share;
    if (j.step > DOTS) j.step = DOTS;
    j.slices = (heads + j.step - 1) / j.step;
    j.count = slots * j.slices;
    j.room = j.step * keys->rows;
    float *room = room_of((size_t)(j.room + 1) * sizeof *room);
    if (room) run(&j, room, threads);
    leave_room();
    pthread_mutex_unlock(&one_caller);
    return !room;
}

/* Attention of many tokens, as fb_attend of one. q: float32 [slots * heads, queries, keys' columns]; y: [slots * heads,
 * queries, values' columns]. before: the tokens before the first one, which it sees beside itself, as each of the others
 * does all before it; < 0 where all see all. shown: the tokens that are to be seen, bytes by head, query and token with
 * so many from each head and query to the next; or NULL. Returns 0, or 1 where there is no memory. */
API int fb_attend_many(const struct fb_matrix *keys, const struct fb_matrix *values, const float *q, int64_t slots,
                       int64_t heads, int64_t queries, int64_t before, const uint8_t *shown, int64_t shown_head,
                       int64_t shown_query, const float *sinks, float *y, int threads) {
    pthread_mutex_lock(&one_caller);
    if (!kernels) kernels = widest();
    struct job j = {.task = attend_many_task, .m = keys, .beside = values, .given = q, .heads = heads, .sinks = sinks, .y = y};
    j.queries = queries, j.before = before, j.shown = shown, j.shown_head = shown_head, j.shown_query = shown_query;
    j.slices = (queries + QUERIES - 1) / QUERIES;
    j.count = slots * heads * j.slices;
    j.room = panels_room() + QUERIES * PANEL_ROWS;
    float *room = room_of((size_t)j.room * sizeof *room);
    if (room) run(&j, room, slots * heads * queries * keys->rows < ALONE_BYTES / 64 ? 1 : threads);
    leave_room();
    pthread_mutex_unlock(&one_caller);
    return !room;
}

static void norm_task(const struct job *j, int64_t index, float *room) {
    (void)room;
    int64_t end = (index + 1) * j->step < j->pairs ? (index + 1) * j->step : j->pairs;
    for (int64_t i = index * j->step; i < end; i++)
        kernels->norm(j->given + i * j->columns, j->columns, j->epsilon, j->centred, j->weights, j->biases,
                      j->y + i * j->columns);
}

/* Each of `count` vectors of x, [count, columns], normed; see `norm`. weights, biases: float32 [columns], or NULL. */
API void fb_norm(const float *x, int64_t count, int64_t columns, float epsilon, int centred, const float *weights,
                 const float *biases, float *y, int threads) {
    pthread_mutex_lock(&one_caller);
    if (!kernels) kernels = widest();
    struct job j = {.task = norm_task, .given = x, .pairs = count, .columns = columns, .epsilon = epsilon, .y = y};
    j.centred = centred, j.weights = weights, j.biases = biases;
    j.step = 1 + TASK_BYTES / 4 / (columns + 1);
    j.count = (count + j.step - 1) / j.step;
    run(&j, NULL, 4 * count * columns < ALONE_BYTES ? 1 : threads);
    pthread_mutex_unlock(&one_caller);
}

/* The sum of float32 numbers, with as many threads as a product would use: what memory gives at most. */
API float fb_sum(const float *numbers, int64_t count, int threads) {
    pthread_mutex_lock(&one_caller);
    if (!kernels) kernels = widest();
    struct job j = {.task = sum_task, .numbers = numbers, .total = count, .step = TASK_BYTES / 4};
    j.count = (count + j.step - 1) / j.step;
    float sum = 0;
    j.totals = room_of((size_t)(j.count + 1) * sizeof *j.totals);
    if (j.totals) run(&j, NULL, 4 * count < ALONE_BYTES ? 1 : threads);
    for (int64_t i = 0; j.totals && i < j.count; i++) sum += j.totals[i];
    leave_room();
    pthread_mutex_unlock(&one_caller);
    return sum;
}

/* Vectors of at most so many lanes from now on, 64 where bytes are multiplied as well (0 for as many as the processor
 * has); returns how many they have. */
API int fb_use_lanes(int most) {
    pthread_mutex_lock(&one_caller);
    kernels = widest();
#ifdef MANY_WIDTHS
    if (most && most < 64 && kernels == &kernels_64) kernels = &kernels_16;
    if (most && most < 16 && kernels == &kernels_16) kernels = &kernels_8;
    if (most && most < 8) kernels = &kernels_4;
#endif
    (void)most;
    int width = kernels->width;
    pthread_mutex_unlock(&one_caller);
    return width;
}
