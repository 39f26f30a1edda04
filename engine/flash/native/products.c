/*
 * Multiplies vectors with matrices of quantised weights, straight from the packed bytes, where there is no GPU: rows of
 * experts in slots of a pool, or of a matrix that is resident.
 *
 * A matrix is rows of packed values, in groups that share a scale (and, affine, a bias). A product of one row with one
 * vector is summed in float32, by the same sixteen lanes in the same order whatever the number of threads: each result
 * is one thread's. Of several vectors with the same matrix, a row is unpacked once.
 *
 * Threads sleep when there is nothing to do; the caller is one of them.
 */

#define _GNU_SOURCE
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define API __attribute__((visibility("default")))
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FAST __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FAST
#endif

enum {
    LANES = 16,
    TILE = 32,                  /* rows that a thread takes at once */
    FEW = 2,                    /* vectors for which a row is not unpacked */
    TOGETHER = 4,               /* rows that are */
    MAX_THREADS = 16
};

enum { AFFINE, MXFP4, MXFP8, NVFP4, PLAIN };
enum { F32, F16, BF16 };

typedef float floats __attribute__((vector_size(4 * LANES), aligned(4)));
typedef int32_t integers __attribute__((vector_size(4 * LANES)));
typedef uint8_t bytes __attribute__((vector_size(LANES), aligned(1)));
typedef uint16_t halves __attribute__((vector_size(2 * LANES), aligned(2)));

/* weight, scales, biases: of the first slot's first row. *_slot, *_row: bytes to the next slot and row. kind: of scales
 * and biases, and of plain weights. */
struct fb_matrix {
    const uint8_t *weight, *scales, *biases;
    int64_t weight_slot, scales_slot, biases_slot, weight_row, scales_row;
    int32_t rows, columns, bits, group, mode, kind;
};

struct job {
    const struct fb_matrix *m;
    const float *x;             /* [vectors, columns] */
    const float *split;         /* the same, of every 32 the even ones, then the odd ones: 4-bit values lie so */
    const float *sums;          /* [vectors, groups] */
    const int64_t *vectors, *slots; /* by pair */
    int64_t pairs;
    float *y;                   /* [pairs, rows] */
    int64_t tiles;              /* of a pair's rows */
    const int64_t *runs;        /* the first pair of each run of pairs with one slot */
    int64_t run_count;
};

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t work, done;
    const struct job *job;
    int64_t next, left;
    int workers, wanted;
} pool = {.mutex = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
static pthread_mutex_t one_caller = PTHREAD_MUTEX_INITIALIZER;

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
    int exponent = (v >> 3) & 15, mantissa = v & 7;
    float value = exponent ? (float)(8 + mantissa) * 0x1p-10f : (float)mantissa * 0x1p-9f;
    for (int i = exponent ? exponent : 0; i > 0; i--) value *= 2;
    return v & 128 ? -value : value;
}

static float power_of_two(uint8_t exponent) {
    if (exponent == 0) return 0x1p-127f;
    uint32_t bits = (uint32_t)exponent << 23;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static float scale_of(const struct fb_matrix *m, const uint8_t *row, int64_t group) {
    switch (m->mode) {
    case MXFP4: case MXFP8: return power_of_two(row[group]);
    case NVFP4: return e4m3(row[group]);
    default: return number(row, m->kind, group);
    }
}

static const float E2M1[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};

/* Packed value i of a row: the lowest bits first, across bytes. */
static unsigned packed(const uint8_t *row, int64_t i, int bits) {
    int64_t bit = i * bits;
    unsigned word = row[bit >> 3];
    if ((bit & 7) + bits > 8) word |= (unsigned)row[(bit >> 3) + 1] << 8;
    return (word >> (bit & 7)) & ((1u << bits) - 1);
}

static void unpack_group(const struct fb_matrix *m, const uint8_t *row, int64_t first, float scale, float bias,
                         float *out) {
    for (int i = 0; i < m->group; i++) {
        switch (m->mode) {
        case MXFP4: case NVFP4: out[i] = scale * E2M1[packed(row, first + i, 4)]; break;
        case MXFP8: out[i] = scale * e4m3(row[first + i]); break;
        default: out[i] = scale * (float)packed(row, first + i, m->bits) + bias;
        }
    }
}

/* A row as floats, [columns]. */
FAST static void unpack_row(const struct fb_matrix *m, const uint8_t *weight, const uint8_t *scales,
                            const uint8_t *biases, float *out) {
    if (m->mode == PLAIN) {
        for (int64_t i = 0; i < m->columns; i++) out[i] = number(weight, m->kind, i);
        return;
    }
    for (int64_t g = 0; g * m->group < m->columns; g++) {
        float scale = scale_of(m, scales, g), bias = biases ? number(biases, m->kind, g) : 0;
        float *to = out + g * m->group;
        if (m->mode == AFFINE && m->bits == 4) {
            const uint8_t *from = weight + g * m->group / 2;
            for (int i = 0; i < m->group / 2; i++) {
                to[2 * i] = scale * (float)(from[i] & 15) + bias;
                to[2 * i + 1] = scale * (float)(from[i] >> 4) + bias;
            }
        } else if (m->mode == AFFINE && m->bits == 8) {
            const uint8_t *from = weight + g * m->group;
            for (int i = 0; i < m->group; i++) to[i] = scale * (float)from[i] + bias;
        } else {
            unpack_group(m, weight, g * m->group, scale, bias, to);
        }
    }
}

/* In two steps: in one, compilers convert byte by byte. */
#define AS_FLOATS(values) __builtin_convertvector(__builtin_convertvector(values, integers), floats)

static inline float total_of(floats lanes) {
    float total = 0;
    for (int i = 0; i < LANES; i++) total += lanes[i];
    return total;
}

FAST static float dot(const float *a, const float *b, int64_t count) {
    floats first = {0}, second = {0};
    int64_t i = 0;
    for (; i + 2 * LANES <= count; i += 2 * LANES) {
        first += *(const floats *)(a + i) * *(const floats *)(b + i);
        second += *(const floats *)(a + i + LANES) * *(const floats *)(b + i + LANES);
    }
    float total = total_of(first + second);
    for (; i < count; i++) total += a[i] * b[i];
    return total;
}

/* split: as in a job. sums: of x by group. */
FAST static float dot_4_bits(const struct fb_matrix *m, const uint8_t *weight, const uint8_t *scales,
                             const uint8_t *biases, const float *split, const float *sums) {
    floats total = {0};
    float offset = 0;
    for (int64_t g = 0; g * m->group < m->columns; g++) {
        floats even = {0}, odd = {0};
        for (int i = 0; i < m->group; i += 2 * LANES) {
            const float *x = split + g * m->group + i;
            bytes pair = *(const bytes *)(weight + (g * m->group + i) / 2);
            even += AS_FLOATS(pair & 15) * *(const floats *)x;
            odd += AS_FLOATS(pair >> 4) * *(const floats *)(x + LANES);
        }
        total += (even + odd) * number(scales, m->kind, g);
        offset += number(biases, m->kind, g) * sums[g];
    }
    return total_of(total) + offset;
}

FAST static float dot_8_bits(const struct fb_matrix *m, const uint8_t *weight, const uint8_t *scales,
                             const uint8_t *biases, const float *x, const float *sums) {
    floats total = {0};
    float offset = 0;
    for (int64_t g = 0; g * m->group < m->columns; g++) {
        floats first = {0}, second = {0};
        for (int i = 0; i < m->group; i += 2 * LANES) {
            const float *at = x + g * m->group + i;
            const uint8_t *from = weight + g * m->group + i;
            first += AS_FLOATS(*(const bytes *)from) * *(const floats *)at;
            second += AS_FLOATS(*(const bytes *)(from + LANES)) * *(const floats *)(at + LANES);
        }
        total += (first + second) * number(scales, m->kind, g);
        offset += number(biases, m->kind, g) * sums[g];
    }
    return total_of(total) + offset;
}

FAST static float dot_bfloat(const uint8_t *weight, const float *x, int64_t count) {
    floats first = {0}, second = {0};
    int64_t i = 0;
    for (; i + 2 * LANES <= count; i += 2 * LANES) {
        integers low = __builtin_convertvector(*(const halves *)(weight + 2 * i), integers) << 16;
        integers high = __builtin_convertvector(*(const halves *)(weight + 2 * (i + LANES)), integers) << 16;
        first += (floats)low * *(const floats *)(x + i);
        second += (floats)high * *(const floats *)(x + i + LANES);
    }
    float total = total_of(first + second);
    for (; i < count; i++) total += number(weight, BF16, i) * x[i];
    return total;
}

static float dot_row(const struct job *j, int64_t vector, const uint8_t *weight, const uint8_t *scales,
                     const uint8_t *biases, float *row) {
    const struct fb_matrix *m = j->m;
    const float *x = j->x + vector * m->columns;
    const float *sums = j->sums + vector * (m->group ? m->columns / m->group : 0);
    if (m->mode == AFFINE && m->bits == 4) {
        const float *split = j->split + vector * m->columns;
        return dot_4_bits(m, weight, scales, biases, split, sums);
    }
    if (m->mode == AFFINE && m->bits == 8) return dot_8_bits(m, weight, scales, biases, x, sums);
    if (m->mode == PLAIN && m->kind == BF16) return dot_bfloat(weight, x, m->columns);
    unpack_row(m, weight, scales, biases, row);
    return dot(row, x, m->columns);
}

/* Four rows, one after the other in memory, with one vector, which is then read once for all. */
FAST static void dot_rows(const float *rows, const float *x, int64_t columns, float *y) {
    floats lanes[TOGETHER] = {{0}};
    int64_t i = 0;
    for (; i + LANES <= columns; i += LANES) {
        floats at = *(const floats *)(x + i);
        for (int r = 0; r < TOGETHER; r++) lanes[r] += *(const floats *)(rows + r * columns + i) * at;
    }
    for (int r = 0; r < TOGETHER; r++) {
        y[r] = total_of(lanes[r]);
        for (int64_t k = i; k < columns; k++) y[r] += rows[r * columns + k] * x[k];
    }
}

/* The bytes of a row in a slot. */
struct row { const uint8_t *weight, *scales, *biases; };

static struct row row_of(const struct fb_matrix *m, int64_t slot, int64_t r) {
    return (struct row){m->weight + slot * m->weight_slot + r * m->weight_row,
                        m->scales ? m->scales + slot * m->scales_slot + r * m->scales_row : NULL,
                        m->biases ? m->biases + slot * m->biases_slot + r * m->scales_row : NULL};
}

/* A tile of rows of a run of pairs that have one slot. room: for the floats of some rows. */
static void do_tile(const struct job *j, int64_t index, float *room) {
    const struct fb_matrix *m = j->m;
    int64_t run = index / j->tiles, first = index % j->tiles * TILE;
    int64_t last = first + TILE < m->rows ? first + TILE : m->rows;
    int64_t begin = j->runs[run], end = run + 1 < j->run_count ? j->runs[run + 1] : j->pairs;
    int64_t slot = j->slots[begin], r = first;
    for (; end - begin > FEW && r + TOGETHER <= last; r += TOGETHER) {
        for (int k = 0; k < TOGETHER; k++) {
            struct row row = row_of(m, slot, r + k);
            unpack_row(m, row.weight, row.scales, row.biases, room + k * m->columns);
        }
        for (int64_t p = begin; p < end; p++)
            dot_rows(room, j->x + j->vectors[p] * m->columns, m->columns, j->y + p * m->rows + r);
    }
    for (; r < last; r++) {
        struct row row = row_of(m, slot, r);
        for (int64_t p = begin; p < end; p++)
            j->y[p * m->rows + r] = dot_row(j, j->vectors[p], row.weight, row.scales, row.biases, room);
    }
}

/* Takes tiles of the job until none is left. Under the mutex, but for the tiles themselves. */
static void take_tiles(const struct job *j, float *row) {
    int64_t total = j->tiles * j->run_count;
    while (pool.job == j && pool.next < total) {
        int64_t index = pool.next++;
        pthread_mutex_unlock(&pool.mutex);
        do_tile(j, index, row);
        pthread_mutex_lock(&pool.mutex);
        if (--pool.left == 0) {
            pool.job = NULL;
            pthread_cond_broadcast(&pool.done);
        }
    }
}

static void *work(void *unused) {
    (void)unused;
    float *row = NULL;
    int64_t room = 0;
    pthread_mutex_lock(&pool.mutex);
    for (;;) {
        while (!pool.job || pool.next >= pool.job->tiles * pool.job->run_count)
            pthread_cond_wait(&pool.work, &pool.mutex);
        const struct job *j = pool.job;
        if (room < TOGETHER * j->m->columns) {
            float *grown = realloc(row, (size_t)(TOGETHER * j->m->columns) * sizeof *row);
            if (!grown) break;  /* the others do it */
            row = grown, room = TOGETHER * j->m->columns;
        }
        take_tiles(j, row);
    }
    pool.workers--;
    pthread_mutex_unlock(&pool.mutex);
    free(row);
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

/* Of every vector its sums by group, and of every 32 values the even ones before the odd ones. */
static void prepare(const struct fb_matrix *m, const float *x, int64_t count, float *split, float *sums) {
    int64_t groups = m->group ? m->columns / m->group : 0;
    for (int64_t v = 0; v < count; v++) {
        const float *from = x + v * m->columns;
        for (int64_t g = 0; g < groups; g++) {
            float sum = 0;
            for (int i = 0; i < m->group; i++) sum += from[g * m->group + i];
            sums[v * groups + g] = sum;
        }
        for (int64_t i = 0; split && i < m->columns; i++) {
            int64_t block = i / (2 * LANES) * 2 * LANES, at = i - block;
            split[v * m->columns + block + (at & 1 ? LANES : 0) + at / 2] = from[i];
        }
    }
}

/* y[p] = matrix of slots[p] times x[vectors[p]], for every pair; pairs of one slot that follow each other are done
 * together. x: float32 [count, columns]; y: float32 [pairs, rows]. threads: at most so many, the caller's among them.
 * Returns 0, or ENOMEM's stand-in 1. Calls from several threads wait for each other. */
API int fb_multiply(const struct fb_matrix *m, const float *x, int64_t count, const int64_t *vectors,
                    const int64_t *slots, int64_t pairs, float *y, int threads) {
    int64_t groups = m->group ? m->columns / m->group : 0;
    bool four = m->mode == AFFINE && m->bits == 4;
    float *split = four ? malloc((size_t)(count * m->columns) * sizeof *split) : NULL;
    float *sums = malloc((size_t)(count * groups + 1) * sizeof *sums);
    float *row = malloc((size_t)(TOGETHER * m->columns) * sizeof *row);
    int64_t *runs = malloc((size_t)(pairs + 1) * sizeof *runs);
    bool room = (split || !four) && sums && row && runs;
    if (room && pairs) {
        struct job j = {m, x, split, sums, vectors, slots, pairs, y, (m->rows + TILE - 1) / TILE, runs, 0};
        for (int64_t p = 0; p < pairs; p++)
            if (p == 0 || slots[p] != slots[p - 1]) runs[j.run_count++] = p;
        prepare(m, x, count, split, sums);
        pthread_mutex_lock(&one_caller);
        pthread_mutex_lock(&pool.mutex);
        start_workers((threads < MAX_THREADS ? threads : MAX_THREADS) - 1);
        pool.next = 0, pool.left = j.tiles * j.run_count;
        pool.job = &j;
        if (threads > 1) pthread_cond_broadcast(&pool.work);
        take_tiles(&j, row);
        while (pool.job == &j) pthread_cond_wait(&pool.done, &pool.mutex);
        pthread_mutex_unlock(&pool.mutex);
        pthread_mutex_unlock(&one_caller);
    }
    free(split), free(sums), free(row), free(runs);
    return !room;
}
