/*
 * What a token's own numbers go through between products, in vectors of LANES floats: exponentials, norms, and the sums
 * of values that attention weighs; see width.h.
 */

/* Numbers from `first` on, of which some may be left out: those are `otherwise`. */
INLINE floats NAME(load_some)(const float *from, int64_t first, int64_t count, float otherwise) {
    if (first + LANES <= count) return *(const floats *)(from + first);
    floats some;
    for (int l = 0; l < LANES; l++) some[l] = first + l < count ? from[first + l] : otherwise;
    return some;
}

INLINE void NAME(store_some)(floats values, float *to, int64_t first, int64_t count) {
    if (first + LANES <= count) *(floats *)(to + first) = values;
    else for (int l = 0; first + l < count; l++) to[first + l] = values[l];
}

/* e to the power of numbers up to 88, off by two units of the last bit at most: 2 to the power of a whole number, times
 * a polynomial of what is left. Below -87 it is 0. */
INLINE floats NAME(exponential)(floats all) {
    const float whole = 0x1.8p23f; /* added to a number, it leaves the nearest integer in the last bits */
    floats x = NAME(chosen)(all >= -87.0f, all, (floats){0} - 87.0f);
    floats shifted = x * 0x1.715476p0f + whole, n = shifted - whole;
    floats r = x - n * 0x1.62e400p-1f - n * 0x1.7f7d1cp-20f;
    floats p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1;
    floats power = (floats)((integers)p + ((integers)shifted << 23));
    return NAME(chosen)(all != all, all, NAME(chosen)(all < -87.0f, (floats){0}, power));
}

/* Scores become shares of 1, of which a sink's score, if there is one, has what is missing. */
static void NAME(softmax)(float *scores, int64_t count, const float *sink) {
    floats tops = (floats){0} - INFINITY, sums = {0};
    for (int64_t i = 0; i < count; i += LANES) {
        floats some = NAME(load_some)(scores, i, count, -INFINITY);
        tops = NAME(chosen)(some > tops, some, tops);
    }
    float top = sink ? *sink : -INFINITY;
    for (int l = 0; l < LANES; l++) top = tops[l] > top ? tops[l] : top;
    for (int64_t i = 0; i < count; i += LANES) {
        floats shares = NAME(exponential)(NAME(load_some)(scores, i, count, -INFINITY) - top);
        sums += shares;
        NAME(store_some)(shares, scores, i, count);
    }
    float all = NAME(total)(sums) + (sink ? expf(*sink - top) : 0);
    for (int64_t i = 0; i < count; i++) scores[i] /= all;
}

/* Scores become powers of e, in units of the largest so far, which is `top`; of a query whose shares are made some keys at
 * a time. sum: of all powers so far. Returns what everything before is to be multiplied with. */
static float NAME(shares)(float *scores, int64_t count, float *top, float *sum) {
    floats tops = (floats){0} + *top, sums = {0};
    for (int64_t i = 0; i < count; i += LANES) {
        floats some = NAME(load_some)(scores, i, count, -INFINITY);
        tops = NAME(chosen)(some > tops, some, tops);
    }
    float before = *top;
    for (int l = 0; l < LANES; l++) *top = tops[l] > *top ? tops[l] : *top;
    float unit = *top == -INFINITY ? 0 : *top; /* where there is nothing to attend to yet */
    for (int64_t i = 0; i < count; i += LANES) {
        floats powers = NAME(exponential)(NAME(load_some)(scores, i, count, -INFINITY) - unit);
        sums += powers;
        NAME(store_some)(powers, scores, i, count);
    }
    float scale = before == *top ? 1 : expf(before - unit);
    *sum = *sum * scale + NAME(total)(sums);
    return scale;
}

/* y becomes silu(y) * beside. */
static void NAME(gate)(float *y, const float *beside, int64_t count) {
    for (int64_t i = 0; i < count; i += LANES) {
        floats x = NAME(load_some)(y, i, count, 0), times = NAME(load_some)(beside, i, count, 0);
        floats away = NAME(exponential)(NAME(chosen)(x < -87.0f, (floats){0} + 87.0f, -x));
        NAME(store_some)(x * times / (1 + away), y, i, count);
    }
}

/* The sum of so many rows of numbers, each times its weight, row after row. */
INLINE void NAME(weigh_kind)(const struct fb_matrix *m, int64_t slot, const float *weights, int64_t count, float *y, int kind) {
    enum { WIDE = 4 };
    const int size = kind == F32 ? 4 : 2;
    const uint8_t *rows = row_of(m, slot, 0).weight;
    int64_t c = 0;
    for (; c + WIDE * LANES <= m->columns; c += WIDE * LANES) {
        floats sums[WIDE] = {{0}};
        for (int64_t r = 0; r < count; r++)
            UNROLL(4)
            for (int k = 0; k < WIDE; k++)
                sums[k] += NAME(load)(rows + r * m->weight_row + size * (c + k * LANES), kind) * weights[r];
        UNROLL(4)
        for (int k = 0; k < WIDE; k++) *(floats *)(y + c + k * LANES) = sums[k];
    }
    for (; c + LANES <= m->columns; c += LANES) {
        floats sum = {0};
        for (int64_t r = 0; r < count; r++) sum += NAME(load)(rows + r * m->weight_row + size * c, kind) * weights[r];
        *(floats *)(y + c) = sum;
    }
    for (; c < m->columns; c++) {
        y[c] = 0;
        for (int64_t r = 0; r < count; r++) y[c] += number(rows + r * m->weight_row, kind, c) * weights[r];
    }
}

/* The same, of any kind. */
static void NAME(weigh)(const struct fb_matrix *m, int64_t slot, const float *weights, int64_t count, float *y) {
    switch (m->kind) {
    case F32: NAME(weigh_kind)(m, slot, weights, count, y, F32); break;
    case F16: NAME(weigh_kind)(m, slot, weights, count, y, F16); break;
    default: NAME(weigh_kind)(m, slot, weights, count, y, BF16);
    }
}

/* x over the root of the mean of its squares, less its mean before where it is to be centred; then times its weights, and
 * with its biases, if it has any. */
static void NAME(norm)(const float *x, int64_t count, float epsilon, bool centred, const float *weights,
                       const float *biases, float *y) {
    floats sums = {0}, squares = {0};
    for (int64_t i = 0; centred && i < count; i += LANES) sums += NAME(load_some)(x, i, count, 0);
    float mean = centred ? NAME(total)(sums) / (float)count : 0;
    for (int64_t i = 0; i < count; i += LANES) {
        floats some = NAME(load_some)(x, i, count, mean) - mean;
        squares += some * some;
    }
    float scale = 1 / sqrtf(NAME(total)(squares) / (float)count + epsilon);
    for (int64_t i = 0; i < count; i += LANES) {
        floats some = (NAME(load_some)(x, i, count, 0) - mean) * scale;
        if (weights) some *= NAME(load_some)(weights, i, count, 0);
        if (biases) some += NAME(load_some)(biases, i, count, 0);
        NAME(store_some)(some, y, i, count);
    }
}
