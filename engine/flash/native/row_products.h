/*
 * Products of rows, in vectors of LANES floats; see width.h.
 *
 * Packed values are taken as words, one a lane, each of `per` values: the word is shifted for the next of them. So the
 * vectors that rows are multiplied with are laid out: of every block of LANES * per elements first those that lanes take
 * first. Nothing is read behind a row, and elements behind the last one are zero.
 */

INLINE float NAME(total)(floats lanes) {
    float half[LANES / 2];
    UNROLL(8)
    for (int i = 0; i < LANES / 2; i++) half[i] = lanes[i] + lanes[i + LANES / 2];
    UNROLL(3)
    for (int n = LANES / 4; n; n /= 2)
        UNROLL(4)
        for (int i = 0; i < n; i++) half[i] += half[i + n];
    return half[0];
}

/* Compilers make half a dozen instructions of each of these two. */
INLINE integers NAME(widened)(const uint8_t *at) {
#if LANES > 4
    integers values;
    __asm__("vpmovsxwd %1, %0" : "=v"(values) : "m"(*(const halves *)at));
    return values;
#else
    return __builtin_convertvector(*(const halves *)at, integers);
#endif
}

INLINE floats NAME(of_halves)(halves of) {
#if LANES > 4
    floats values;
    __asm__("vcvtph2ps %1, %0" : "=v"(values) : "vm"(of));
    return values;
#else
    integers bits = __builtin_convertvector(of, integers) << 13 & (int32_t)0x8FFFE000;
    return (floats)bits * 0x1p112f; /* the exponents count from 15 and from 127 */
#endif
}

/* LANES numbers of a kind. */
INLINE floats NAME(load)(const uint8_t *at, int kind) {
    if (kind == F32) return *(const floats *)at;
    if (kind == BF16) return (floats)(NAME(widened)(at) << 16);
    return NAME(of_halves)(*(const halves *)at);
}

INLINE floats NAME(chosen)(integers mask, floats yes, floats no) {
    return (floats)((mask & (integers)yes) | (~mask & (integers)no));
}

/* Lane l: at[index[l]], each index below LANES. */
INLINE floats NAME(spread)(const float *at, integers index) {
#if LANES > 4
    return __builtin_shuffle(*(const floats *)at, index);
#else
    floats values;
    for (int l = 0; l < LANES; l++) values[l] = at[index[l]];
    return values;
#endif
}

/* Some products of one row, each summed as if it were alone: of vector v, whose elements are x[v]. */
INLINE void NAME(dots_numbers)(const uint8_t *row, const float *const *x, float *to, int64_t count, int kind,
                               int vectors) {
    const int size = kind == F32 ? 4 : 2;
    floats sums[DOTS][4];
    UNROLL(4)
    for (int v = 0; v < vectors; v++)
        UNROLL(4)
        for (int k = 0; k < 4; k++) sums[v][k] = (floats){0};
    int64_t i = 0;
    for (; i + 4 * LANES <= count; i += 4 * LANES) {
        for (int line = 0; line < 4 * LANES * size; line += CACHE_LINE)
            __builtin_prefetch(row + size * i + line + AHEAD_BYTES, 0, 2);
        UNROLL(4)
        for (int k = 0; k < 4; k++) {
            int64_t at = i + k * LANES;
            floats values = NAME(load)(row + size * at, kind);
            UNROLL(4)
            for (int v = 0; v < vectors; v++) sums[v][k] += values * *(const floats *)(x[v] + at);
        }
    }
    for (; i + LANES <= count; i += LANES) {
        floats values = NAME(load)(row + size * i, kind);
        UNROLL(4)
        for (int v = 0; v < vectors; v++) sums[v][0] += values * *(const floats *)(x[v] + i);
    }
    UNROLL(4)
    for (int v = 0; v < vectors; v++) {
        float sum = NAME(total)((sums[v][0] + sums[v][1]) + (sums[v][2] + sums[v][3]));
        for (int64_t j = i; j < count; j++) sum += number(row, kind, j) * x[v][j];
        to[v] = sum;
    }
}

INLINE void NAME(dots_kind)(const uint8_t *row, const float *const *x, float *to, int64_t count, int kind,
                            int vectors) {
    switch (kind) {
    case F32: NAME(dots_numbers)(row, x, to, count, F32, vectors); break;
    case F16: NAME(dots_numbers)(row, x, to, count, F16, vectors); break;
    default: NAME(dots_numbers)(row, x, to, count, BF16, vectors);
    }
}

static void NAME(dots_plain)(const uint8_t *row, const float *const *x, float *to, int64_t count, int kind,
                             int vectors) {
    switch (vectors) {
    case 1: NAME(dots_kind)(row, x, to, count, kind, 1); break;
    case 2: NAME(dots_kind)(row, x, to, count, kind, 2); break;
    case 3: NAME(dots_kind)(row, x, to, count, kind, 3); break;
    default: NAME(dots_kind)(row, x, to, count, kind, 4);
    }
}

/* A row of numbers as floats. */
INLINE void NAME(convert)(const uint8_t *from, int kind, int64_t count, float *to) {
    const int size = kind == F32 ? 4 : 2;
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) *(floats *)(to + i) = NAME(load)(from + size * i, kind);
    for (; i < count; i++) to[i] = number(from, kind, i);
}

/* 8-bit floats of four bits of exponent, two a half: the lower ones, or, k = 1, the upper ones. Shifted, they are halves
 * whose exponent counts from 15 where theirs does from 7, so that they are in units of 256. */
INLINE floats NAME(e4m3_of)(halves two, int k) {
    halves bits = k ? two >> 1 & (int16_t)0xBF80 : two << 8 >> 1 & (int16_t)0xBFFF;
    return NAME(of_halves)(bits);
}

/* 8-bit floats of four bits of exponent, one a lane. */
INLINE floats NAME(e4m3)(integers v) {
    integers magnitude = v & 127;
    floats normal = (floats)((magnitude << 20) + (120 << 23));
    floats small = __builtin_convertvector(magnitude, floats) * 0x1p-9f;
    return (floats)((integers)NAME(chosen)(magnitude < 8, small, normal) | (v & 128) << 24);
}

/* 4-bit floats of two bits of exponent. */
INLINE floats NAME(e2m1)(integers v) {
#if LANES == 16
    return NAME(spread)(E2M1, v);
#else
    integers m = v & 7, twice = m + ((m > 4) & (m - 4)) + ((m == 7) & 2);
    return (floats)((integers)(__builtin_convertvector(twice, floats) * 0.5f) | (v & 8) << 28);
#endif
}

/* The scales of a row's groups, and as many zeros as a vector has lanes. */
INLINE void NAME(scales)(const struct fb_matrix *m, const uint8_t *from, int64_t groups, float *to) {
    if (m->mode == AFFINE) {
        NAME(convert)(from, m->kind, groups, to);
    } else {
        int64_t i = 0;
        for (; i + LANES <= groups; i += LANES) {
            integers v = __builtin_convertvector(*(const bytes *)(from + i), integers);
            *(floats *)(to + i) = m->mode == NVFP4 ? NAME(e4m3)(v) : (floats)(v << 23 | ((v == 0) & (1 << 22)));
        }
        for (; i < groups; i++) to[i] = m->mode == NVFP4 ? e4m3(from[i]) : power_of_two(from[i]);
    }
    *(floats *)(to + groups) = (floats){0};
}

INLINE integers NAME(words)(const uint8_t *at, int bits, int per) {
    if (bits * per == 32) return *(const integers *)at;
    if (bits * per == 16) return NAME(widened)(at);
    integers words;
    for (int l = 0; l < LANES; l++) {
        int bit = l * bits * per;
        uint32_t word;
        memcpy(&word, at + bit / 8, sizeof word);
        words[l] = (int32_t)(word >> bit % 8);
    }
    return words;
}

/* Value k of every lane's word, which are `at`, in units of UNIT(mode). */
INLINE floats NAME(values)(const uint8_t *at, integers words, int k, int bits, int mode) {
    if (mode == MXFP8) return NAME(e4m3_of)(*(const halves *)at, k);
    integers v = words >> bits * k;
#if LANES == 16
    if (mode == AFFINE && bits == 4) return NAME(spread)(COUNTING, v);
#endif
    if (mode == MXFP4 || mode == NVFP4) return NAME(e2m1)(v);
    return __builtin_convertvector(v & ((1 << bits) - 1), floats);
}

/* What a row of packed values is read by. index: of the group that each lane's word is in, counted from the block's. */
struct NAME(packed) {
    const uint8_t *weight, *last; /* last: the last block, copied where the row may end in it */
    uint8_t copy[4 * LANES + 4];
    int64_t blocks, block, block_bytes;
    int group_shift;
    integers index;
};

INLINE void NAME(begin)(struct NAME(packed) *p, const struct fb_matrix *m, const uint8_t *weight, int bits, int per) {
    p->weight = weight;
    p->block = LANES * per, p->block_bytes = LANES * per * bits / 8;
    p->blocks = (m->columns + p->block - 1) / p->block;
    p->last = weight + (p->blocks - 1) * p->block_bytes;
    int64_t left = m->columns * bits / 8 - (p->blocks - 1) * p->block_bytes;
    if (bits * per % 16 || left < p->block_bytes) { /* words of odd widths are read beyond their ends */
        memset(p->copy, 0, sizeof p->copy);
        p->last = memcpy(p->copy, p->last, (size_t)left);
    }
    p->group_shift = __builtin_ctz((unsigned)m->group);
    p->index = *(const integers *)LANE_NUMBERS * per >> p->group_shift;
}

INLINE const uint8_t *NAME(block)(const struct NAME(packed) *p, int64_t b) {
    return b + 1 < p->blocks ? p->weight + b * p->block_bytes : p->last;
}

/* The scale, or bias, of each lane of block b; an 8-bit float's block is no longer than its group. */
INLINE floats NAME(of_lanes)(const struct NAME(packed) *p, int64_t b, const float *by_group, int mode) {
    const float *first = by_group + (b * p->block >> p->group_shift);
    if (mode == MXFP8) return (floats){0} + *first;
    return NAME(spread)(first, p->index);
}

INLINE void NAME(dots_packed)(const struct fb_matrix *m, struct row row, const float *const *x, const float *const *sums,
                              float *to, float *room, int vectors, int bits, int per, int mode) {
    struct NAME(packed) p;
    int64_t groups = m->columns / m->group;
    NAME(begin)(&p, m, row.weight, bits, per);
    NAME(scales)(m, row.scales, groups, room);
    floats sum[DOTS];
    UNROLL(4)
    for (int v = 0; v < vectors; v++) sum[v] = (floats){0};
    for (int64_t b = 0; b < p.blocks; b++) {
        const uint8_t *at = NAME(block)(&p, b);
        integers words = NAME(words)(at, bits, per);
        __builtin_prefetch(p.weight + b * p.block_bytes + AHEAD_BYTES, 0, 2);
        floats parts[DOTS][2]; /* of even and odd elements */
        UNROLL(4)
        for (int v = 0; v < vectors; v++) parts[v][0] = parts[v][1] = (floats){0};
        UNROLL(16)
        for (int k = 0; k < per; k++) {
            floats values = NAME(values)(at, words, k, bits, mode);
            UNROLL(4)
            for (int v = 0; v < vectors; v++) parts[v][k & 1] += values * *(const floats *)(x[v] + (b * per + k) * LANES);
        }
        floats scale = NAME(of_lanes)(&p, b, room, mode);
        UNROLL(4)
        for (int v = 0; v < vectors; v++) sum[v] += (parts[v][0] + parts[v][1]) * scale;
    }
    float offsets[DOTS] = {0};
    if (mode == AFFINE) NAME(dots_plain)(row.biases, sums, offsets, groups, m->kind, vectors);
    UNROLL(4)
    for (int v = 0; v < vectors; v++) to[v] = NAME(total)(sum[v]) * UNIT(mode) + offsets[v];
}

INLINE void NAME(dots_by_count)(const struct fb_matrix *m, struct row row, const float *const *x,
                                const float *const *sums, float *to, float *room, int vectors, int bits, int per,
                                int mode) {
    switch (vectors) {
    case 1: NAME(dots_packed)(m, row, x, sums, to, room, 1, bits, per, mode); break;
    case 2: NAME(dots_packed)(m, row, x, sums, to, room, 2, bits, per, mode); break;
    case 3: NAME(dots_packed)(m, row, x, sums, to, room, 3, bits, per, mode); break;
    default: NAME(dots_packed)(m, row, x, sums, to, room, 4, bits, per, mode);
    }
}

/* f(matrix, row, ..., bits, per, mode), with the last three known to the compiler. */
#define BY_FORM(f, ...)                                           \
    switch (m->mode << 4 | m->bits) {                             \
    case AFFINE << 4 | 2: return f(__VA_ARGS__, 2, 16, AFFINE);   \
    case AFFINE << 4 | 3: return f(__VA_ARGS__, 3, 8, AFFINE);    \
    case AFFINE << 4 | 4: return f(__VA_ARGS__, 4, 8, AFFINE);    \
    case AFFINE << 4 | 5: return f(__VA_ARGS__, 5, 4, AFFINE);    \
    case AFFINE << 4 | 6: return f(__VA_ARGS__, 6, 4, AFFINE);    \
    case AFFINE << 4 | 8: return f(__VA_ARGS__, 8, 4, AFFINE);    \
    case MXFP8 << 4 | 8: return f(__VA_ARGS__, 8, 2, MXFP8);      \
    case MXFP4 << 4 | 4: return f(__VA_ARGS__, 4, 8, MXFP4);      \
    default: return f(__VA_ARGS__, 4, 8, NVFP4);                  \
    }

/* A row times `vectors` vectors, at most DOTS: each product to the bit what it is alone. x, sums: by vector. room: for
 * scales. */
static void NAME(dots)(const struct fb_matrix *m, struct row row, const float *const *x, const float *const *sums,
                       float *to, float *room, int vectors) {
    if (m->mode == PLAIN) NAME(dots_plain)(row.weight, x, to, m->columns, m->kind, vectors);
    else BY_FORM(NAME(dots_by_count), m, row, x, sums, to, room, vectors)
}

/* BESIDE rows of numbers with one vector: each product to the bit what it is alone. Several rows are asked of memory
 * at once, wherever they are, and behind their ends those that are `next`; the vector's elements are loaded once. */
INLINE void NAME(dots_beside)(const uint8_t *const *rows, const uint8_t *const *next, const float *x, float *to,
                              int64_t count, int kind) {
    const int size = kind == F32 ? 4 : 2;
    floats sums[BESIDE][4];
    UNROLL(4)
    for (int r = 0; r < BESIDE; r++)
        UNROLL(4)
        for (int k = 0; k < 4; k++) sums[r][k] = (floats){0};
    int64_t i = 0, ahead = AHEAD_BYTES / BESIDE, end = size * count;
    for (; i + 4 * LANES <= count; i += 4 * LANES, ahead += 4 * LANES * size) {
        UNROLL(4)
        for (int r = 0; r < BESIDE; r++) {
            const uint8_t *wanted = ahead < end ? rows[r] + ahead : next[r] + (ahead - end);
            for (int line = 0; line < 4 * LANES * size; line += CACHE_LINE) __builtin_prefetch(wanted + line);
        }
        UNROLL(4)
        for (int k = 0; k < 4; k++) {
            int64_t at = i + k * LANES;
            floats of_x = *(const floats *)(x + at);
            UNROLL(4)
            for (int r = 0; r < BESIDE; r++) sums[r][k] += NAME(load)(rows[r] + size * at, kind) * of_x;
        }
    }
    for (; i + LANES <= count; i += LANES)
        UNROLL(4)
        for (int r = 0; r < BESIDE; r++) sums[r][0] += NAME(load)(rows[r] + size * i, kind) * *(const floats *)(x + i);
    UNROLL(4)
    for (int r = 0; r < BESIDE; r++) {
        float sum = NAME(total)((sums[r][0] + sums[r][1]) + (sums[r][2] + sums[r][3]));
        for (int64_t j = i; j < count; j++) sum += number(rows[r], kind, j) * x[j];
        to[r] = sum;
    }
}

/* The same, of any kind. */
static void NAME(dots_rows)(const struct fb_matrix *m, const uint8_t *const *rows, const uint8_t *const *next,
                            const float *x, float *to) {
    switch (m->kind) {
    case F32: NAME(dots_beside)(rows, next, x, to, m->columns, F32); break;
    case F16: NAME(dots_beside)(rows, next, x, to, m->columns, F16); break;
    default: NAME(dots_beside)(rows, next, x, to, m->columns, BF16);
    }
}

/* Adds four rows, or one, times their weights to columns [first, last) of y, one after the other; those that are next
 * are asked of memory meanwhile. */
INLINE void NAME(add_some)(const uint8_t *const *rows, const uint8_t *const *next, const float *weights, int64_t first,
                           int64_t last, float *y, int kind, int count) {
    const int size = kind == F32 ? 4 : 2;
    int64_t c = first;
    for (; c + LANES <= last; c += LANES) {
        floats sum = *(floats *)(y + c);
        UNROLL(4)
        for (int r = 0; r < count; r++) {
            __builtin_prefetch(next[r] + size * c);
            sum += NAME(load)(rows[r] + size * c, kind) * weights[r];
        }
        *(floats *)(y + c) = sum;
    }
    for (; c < last; c++)
        for (int r = 0; r < count; r++) y[c] += number(rows[r], kind, c) * weights[r];
}

INLINE void NAME(add_kind)(const struct fb_matrix *m, int64_t slot, const int64_t *rows, const float *weights,
                           int64_t count, int64_t first, int64_t last, float *y, int kind) {
    const uint8_t *some[8];
    for (int64_t i = 0, step; i < count; i += step) {
        step = i + 4 <= count ? 4 : 1;
        for (int64_t k = 0; k < 2 * step; k++) {
            int64_t at = i + k < count ? i + k : count - 1;
            some[k] = row_from(m, slot, rows ? rows[at] : at).weight;
        }
        if (step == 4) NAME(add_some)(some, some + 4, weights + i, first, last, y, kind, 4);
        else NAME(add_some)(some, some + 1, weights + i, first, last, y, kind, 1);
    }
}

/* A row's scales as floats in room, and behind them its biases, which are returned. */
INLINE const float *NAME(scales_and_biases)(const struct fb_matrix *m, struct row row, float *room, int mode) {
    int64_t groups = m->columns / m->group;
    float *biases = room + groups + LANES;
    NAME(scales)(m, row.scales, groups, room);
    if (mode == AFFINE) NAME(convert)(row.biases, m->kind, groups, biases);
    *(floats *)(biases + groups) = (floats){0};
    return biases;
}

/* Adds a row of packed values times its weight to y, laid out as vectors are. */
INLINE void NAME(add_packed)(const struct fb_matrix *m, struct row row, float weight, float *y, float *room, int bits,
                             int per, int mode) {
    struct NAME(packed) p;
    NAME(begin)(&p, m, row.weight, bits, per);
    const float *biases = NAME(scales_and_biases)(m, row, room, mode);
    for (int64_t b = 0; b < p.blocks; b++) {
        const uint8_t *at = NAME(block)(&p, b);
        integers words = NAME(words)(at, bits, per);
        floats scale = NAME(of_lanes)(&p, b, room, mode) * weight, bias = {0};
        if (mode == AFFINE) bias = NAME(of_lanes)(&p, b, biases, mode) * weight;
        UNROLL(16)
        for (int k = 0; k < per; k++) {
            floats *to = (floats *)(y + (b * per + k) * LANES);
            *to += NAME(values)(at, words, k, bits, mode) * UNIT(mode) * scale + bias;
        }
    }
}

/* The same, of any form. room: for floats, as many as `scale_room` says. */
static void NAME(add_laid_out)(const struct fb_matrix *m, struct row row, float weight, float *y, float *room) {
    BY_FORM(NAME(add_packed), m, row, weight, y, room)
}

/* Adds rows of a plain matrix times their weights to columns [first, last) of y, row after row. rows: NULL for all. */
static void NAME(add)(const struct fb_matrix *m, int64_t slot, const int64_t *rows, const float *weights, int64_t count,
                      int64_t first, int64_t last, float *y) {
    switch (m->kind) {
    case F32: NAME(add_kind)(m, slot, rows, weights, count, first, last, y, F32); break;
    case F16: NAME(add_kind)(m, slot, rows, weights, count, first, last, y, F16); break;
    default: NAME(add_kind)(m, slot, rows, weights, count, first, last, y, BF16);
    }
}

/* The sum of numbers, as fast as memory gives them. */
static float NAME(sum)(const float *numbers, int64_t count) {
    floats sums[8] = {{0}};
    int64_t i = 0;
    for (; i + 8 * LANES <= count; i += 8 * LANES) {
        UNROLL(8)
        for (int k = 0; k < 8; k++) sums[k] += *(const floats *)(numbers + i + k * LANES);
    }
    float sum = 0;
    for (int k = 0; k < 8; k++) sum += NAME(total)(sums[k]);
    for (; i < count; i++) sum += numbers[i];
    return sum;
}

/* The sums of numbers by group. */
static void NAME(sums)(const float *numbers, int64_t groups, int64_t group, float *to) {
    for (int64_t g = 0; g < groups; g++, numbers += group) {
        floats sum = {0};
        for (int64_t i = 0; i < group; i += LANES) sum += *(const floats *)(numbers + i);
        to[g] = NAME(total)(sum);
    }
}
