/* The FFN's products over active neurons alone, for training on a CPU.
 *
 * A ReLU leaves nineteen of twenty neurons at zero. Those take no part in the second product, nor in any product of the
 * backward pass: five of the FFN's six. Each loop below therefore runs over a token's active neurons, whose weights are
 * rows of both matrices. cc -O3 -march=native -fopenmp -shared -fPIC -DWIDTH=256 -DFFN=3072 sparse_ffn.c
 *
 * Matrices are float32 in C order. w1 [FFN, WIDTH], w2t [FFN, WIDTH] (fc2 transposed), x and y [tokens, WIDTH].
 * Active neurons of token t: index[t * FFN + n] and value[t * FFN + n], n < count[t].
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef float vec __attribute__((vector_size(64), aligned(4), may_alias));
enum { LANES = 16, VECS = WIDTH / LANES, BLOCK = 1024 };
#define EACH_VEC _Pragma("GCC unroll 32") for (int k = 0; k < VECS; k++)

static inline float sum(vec v) {
    float total = 0;
    for (int k = 0; k < LANES; k++) total += v[k];
    return total;
}

/* y = relu(h) w2t + b2, the list of active neurons, and the sum of their values. h [tokens, FFN]. */
void forward(long tokens, const float *h, const float *w2t, const float *b2, float *y, uint16_t *index, float *value,
             int32_t *count, float *total) {
#pragma omp parallel for schedule(static)
    for (long t = 0; t < tokens; t++) {
        const float *row = h + t * FFN;
        uint16_t *j = index + t * FFN;
        float *a = value + t * FFN;
        int n = 0;
        for (int i = 0; i < FFN; i++) {
            j[n] = i, a[n] = row[i];  // without a branch: one neuron in twenty is too unforeseeable
            n += row[i] > 0;
        }
        count[t] = n;
        total[t] = 0;
        for (int i = 0; i < n; i++) total[t] += a[i];
        vec acc[VECS];
        EACH_VEC acc[k] = ((const vec *)b2)[k];
        for (int i = 0; i < n; i++) {
            const vec *w = (const vec *)(w2t + (long)j[i] * WIDTH);
            EACH_VEC acc[k] += a[i] * w[k];
        }
        EACH_VEC ((vec *)(y + t * WIDTH))[k] = acc[k];
    }
}

/* Gradient of h at the active neurons, `penalty` (the L1 term's) added to each, and of x. */
void backward_tokens(long tokens, const float *dy, const float *w1, const float *w2t, const uint16_t *index,
                     const int32_t *count, float penalty, float *dh, float *dx) {
#pragma omp parallel for schedule(static)
    for (long t = 0; t < tokens; t++) {
        const uint16_t *j = index + t * FFN;
        float *d = dh + t * FFN;
        vec g[VECS];
        EACH_VEC g[k] = ((const vec *)(dy + t * WIDTH))[k];
        for (int i = 0; i < count[t]; i++) {
            const vec *w = (const vec *)(w2t + (long)j[i] * WIDTH);
            vec dot = {0};
            EACH_VEC dot += g[k] * w[k];
            d[i] = sum(dot) + penalty;
        }
        vec acc[VECS];
        EACH_VEC acc[k] = (vec){0};
        for (int i = 0; i < count[t]; i++) {
            const vec *w = (const vec *)(w1 + (long)j[i] * WIDTH);
            EACH_VEC acc[k] += d[i] * w[k];
        }
        EACH_VEC ((vec *)(dx + t * WIDTH))[k] = acc[k];
    }
}

/* grad[j] += sum over tokens of scale * row, for the neurons of one thread's share within one block of tokens. */
static void accumulate(int first, int last, const int32_t *start, const uint16_t *token, const float *scale,
                       const float *rows, float *grad) {
    for (int j = first; j < last; j++) {
        vec *out = (vec *)(grad + (long)j * WIDTH), acc[VECS];
        EACH_VEC acc[k] = out[k];
        for (int i = start[j - first]; i < start[j - first + 1]; i++) {
            const vec *row = (const vec *)(rows + (long)token[i] * WIDTH);
            EACH_VEC acc[k] += scale[i] * row[k];
        }
        EACH_VEC out[k] = acc[k];
    }
}

/* Gradients of w1, w2t and b1, added to what they hold. Every thread owns a share of the neurons; tokens go by in
 * blocks whose rows fit the cache, and each block's lists are turned from token order into neuron order first. */
void backward_weights(long tokens, const float *x, const float *dy, const uint16_t *index, const float *value,
                      const float *dh, const int32_t *count, float *dw1, float *dw2t, float *db1) {
    enum { SHARES = 8, SHARE = FFN / SHARES };
#pragma omp parallel for schedule(dynamic)
    for (int share = 0; share < SHARES; share++) {
        int first = share * SHARE, last = first + SHARE;
        int32_t start[SHARE + 1], next[SHARE];
        uint16_t *token = malloc(sizeof *token * BLOCK * SHARE);
        float *a = malloc(sizeof *a * BLOCK * SHARE), *d = malloc(sizeof *d * BLOCK * SHARE);
        for (long block = 0; block < tokens; block += BLOCK) {
            long end = block + BLOCK < tokens ? block + BLOCK : tokens;
            memset(start, 0, sizeof start);
            for (long t = block; t < end; t++)
                for (int i = 0; i < count[t]; i++) {
                    unsigned j = index[t * FFN + i] - first;
                    if (j < SHARE) start[j + 1]++;
                }
            for (int j = 0; j < SHARE; j++) start[j + 1] += start[j], next[j] = start[j];
            for (long t = block; t < end; t++)
                for (int i = 0; i < count[t]; i++) {
                    unsigned j = index[t * FFN + i] - first;
                    if (j >= SHARE) continue;
                    int at = next[j]++;
                    token[at] = t - block;
                    a[at] = value[t * FFN + i];
                    d[at] = dh[t * FFN + i];
                    db1[first + j] += d[at];
                }
            accumulate(first, last, start, token, d, x + block * WIDTH, dw1);
            accumulate(first, last, start, token, a, dy + block * WIDTH, dw2t);
        }
        free(token), free(a), free(d);
    }
}
