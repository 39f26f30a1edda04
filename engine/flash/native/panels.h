/*
 * Products of many vectors with the same rows, in vectors of LANES floats; see width.h.
 *
 * Rows become panels: the floats of PANEL rows column by column, so that a lane is a row. A panel stays in a core's cache
 * while vectors meet it, VECTORS at a time. Every product is summed column after column, each added to what was there:
 * it is the same to the bit whatever other rows and vectors there are, and however columns are cut.
 */

#if LANES > 4
/* Lanes of two vectors: those that `mask` counts through both. */
#define OF_BOTH(one, other, mask) __builtin_shuffle(one, other, mask)
#else
INLINE floats NAME(of_both)(floats one, floats other, integers mask) {
    floats both;
    for (int l = 0; l < LANES; l++) both[l] = mask[l] < LANES ? one[mask[l]] : other[mask[l] - LANES];
    return both;
}
#define OF_BOTH(one, other, mask) NAME(of_both)(one, other, mask)
#endif

/* Turns a square of LANES vectors, so that lane l of vector r becomes lane r of vector l. */
INLINE void NAME(turn_square)(floats *square) {
    const integers lane = *(const integers *)LANE_NUMBERS;
    UNROLL(4)
    for (int n = LANES / 2; n; n /= 2) {
        const integers odd = -(lane / n % 2), low = (odd & (LANES - n)) + lane, high = (odd & (LANES - n)) + lane + n;
        UNROLL(16)
        for (int i = 0; i < LANES; i++) {
            if (i & n) continue;
            floats one = square[i], other = square[i + n];
            square[i] = OF_BOTH(one, other, low);
            square[i + n] = OF_BOTH(one, other, high);
        }
    }
}

/* Values k of every lane's word, in the order in which a row has them. */
INLINE void NAME(in_order)(floats *values, int per) {
    const integers lane = *(const integers *)LANE_NUMBERS, low = lane / 2 + lane % 2 * LANES;
    floats next[16];
    UNROLL(4)
    for (int n = per; n > 1; n /= 2) {
        UNROLL(8)
        for (int i = 0; i < per / 2; i++) {
            next[2 * i] = OF_BOTH(values[i], values[i + per / 2], low);
            next[2 * i + 1] = OF_BOTH(values[i], values[i + per / 2], low + LANES / 2);
        }
        UNROLL(16)
        for (int i = 0; i < per; i++) values[i] = next[i];
    }
}

INLINE void NAME(unpack_packed)(const struct fb_matrix *m, struct row row, float *to, float *room, int bits, int per,
                                int mode) {
    struct NAME(packed) p;
    NAME(begin)(&p, m, row.weight, bits, per);
    const float *biases = NAME(scales_and_biases)(m, row, room, mode);
    for (int64_t b = 0; b < p.blocks; b++) {
        const uint8_t *at = NAME(block)(&p, b);
        integers words = NAME(words)(at, bits, per);
        floats scale = NAME(of_lanes)(&p, b, room, mode), bias = {0}, values[16];
        if (mode == AFFINE) bias = NAME(of_lanes)(&p, b, biases, mode);
        UNROLL(16)
        for (int k = 0; k < per; k++) values[k] = NAME(values)(at, words, k, bits, mode) * UNIT(mode) * scale + bias;
        NAME(in_order)(values, per);
        UNROLL(16)
        for (int k = 0; k < per; k++) *(floats *)(to + (b * per + k) * LANES) = values[k];
    }
}

/* A row as floats, with zeros behind up to a multiple of LANES, and room behind them for a block. room: for scales. */
static void NAME(unpack)(const struct fb_matrix *m, struct row row, float *to, float *room) {
    if (m->mode == PLAIN) {
        NAME(convert)(row.weight, m->kind, m->columns, to);
        for (int64_t i = m->columns; i % LANES; i++) to[i] = 0;
        return;
    }
    BY_FORM(NAME(unpack_packed), m, row, to, room)
}

/* LANES rows of floats, `stride` apart, as lanes of a panel. count: of columns, up to a multiple of LANES. */
static void NAME(turn)(const float *rows, int64_t stride, int64_t count, float *panel) {
    for (int64_t i = 0; i < count; i += LANES) {
        floats square[LANES];
        UNROLL(16)
        for (int r = 0; r < LANES; r++) square[r] = *(const floats *)(rows + r * stride + i);
        NAME(turn_square)(square);
        UNROLL(16)
        for (int r = 0; r < LANES; r++) *(floats *)(panel + (i + r) * PANEL) = square[r];
    }
}

/* One row of floats, as one column of the panels of its own columns, up to a multiple of PANEL. */
static void NAME(take)(const float *row, int64_t count, float *panels) {
    for (int64_t c = 0; c < count; c += PANEL) {
        *(floats *)(panels + c * DEEP) = *(const floats *)(row + c);
        *(floats *)(panels + c * DEEP + LANES) = *(const floats *)(row + c + LANES);
    }
}

INLINE void NAME(add_panel_of)(const float *panel, const float *x, int64_t count, float *y, int64_t step, int vectors) {
    floats sums[VECTORS][2];
    UNROLL(12)
    for (int v = 0; v < vectors; v++)
        sums[v][0] = *(const floats *)(y + v * step), sums[v][1] = *(const floats *)(y + v * step + LANES);
    for (int64_t i = 0; i < count; i++, panel += PANEL) {
        floats low = *(const floats *)panel, high = *(const floats *)(panel + LANES);
        UNROLL(12)
        for (int v = 0; v < vectors; v++) {
            sums[v][0] += low * x[v * DEEP + i];
            sums[v][1] += high * x[v * DEEP + i];
        }
    }
    UNROLL(12)
    for (int v = 0; v < vectors; v++)
        *(floats *)(y + v * step) = sums[v][0], *(floats *)(y + v * step + LANES) = sums[v][1];
}

/* Adds to y[v][r] the products of the columns of a panel of which `rows` lanes count, and of `vectors` vectors, at most
 * VECTORS, those of x, DEEP apart. step: from a vector's products to the next one's. x has some number for the others. */
static void NAME(add_panel)(const float *panel, const float *x, int64_t count, float *y, int64_t step, int64_t rows,
                            int vectors) {
    const int third = VECTORS / 3, wanted = (vectors + third - 1) / third * third;
    float some[VECTORS * PANEL] = {0}, *to = y;
    int64_t to_step = step;
    if (rows < PANEL || vectors < wanted) {
        to = some, to_step = PANEL;
        for (int v = 0; v < vectors; v++) memcpy(some + v * PANEL, y + v * step, (size_t)rows * sizeof *y);
    }
    if (wanted == VECTORS) NAME(add_panel_of)(panel, x, count, to, to_step, VECTORS);
    else if (wanted > third) NAME(add_panel_of)(panel, x, count, to, to_step, VECTORS / 3 * 2);
    else NAME(add_panel_of)(panel, x, count, to, to_step, VECTORS / 3);
    if (to == y) return;
    for (int v = 0; v < vectors; v++) memcpy(y + v * step, some + v * PANEL, (size_t)rows * sizeof *y);
}

#undef BY_FORM
#undef OF_BOTH
