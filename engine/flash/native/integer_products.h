/*
 * Products of packed weights in integers, for processors that multiply 64 bytes at once (AVX-512 VNNI). Included by
 * products.c, behind row_products.h of sixteen lanes.
 *
 * Weights of 2, 4 and 8 bits are bytes as they are, once they are taken apart. A vector's elements become integers of 24
 * bits, those that meet in a lane with a scale of their own, so that the largest is off by its last bit at most: float32
 * is no better. Of each its three bytes are multiplied one after the other, and summed without rounding. As floats they
 * are summed in one order, so that a result is the same whatever other rows and vectors are multiplied beside it.
 *
 * A block is 64 bytes of a row. Its weights are taken apart in `phases` steps: byte i of phase p is element i * phases +
 * p. So is a vector laid out: of each block the upper, middle and lower bytes of its integers, phase by phase, then of
 * each lane its scale and -12 times the sum of its integers.
 */


enum {
    BLOCK = 64,                 /* bytes */
    TILE = 4,                   /* rows that are taken apart at once for many vectors */
    LIMBS = 3,                  /* bytes of an integer */
    VECTORS_BYTES = 1 << 20     /* of vectors that rows meet while these are in the cache */
};

#define LARGEST 8355000.0f      /* of a vector's integers: their upper bytes are below 128 when they are rounded */
#define SMALLEST 1e-30f         /* of a lane's elements, below which they count as nothing */

static const int8_t BYTE_UP[16] = {-1, 0, 1, 2, -1, 4, 5, 6, -1, 8, 9, 10, -1, 12, 13, 14};
static const int8_t E2M1_TWICE_FROM_12[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

static int phases_of(const struct fb_matrix *m) { return 8 / m->bits; }

static bool suits_integers(const struct fb_matrix *m) {
    if (m->mode == AFFINE) return m->bits == 2 || m->bits == 4 || m->bits == 8;
    return m->mode == MXFP4 || m->mode == NVFP4;
}

static int64_t blocks_of(const struct fb_matrix *m) {
    return up_to((int64_t)m->columns * m->bits / 8, BLOCK) / BLOCK;
}

static int64_t laid_bytes(const struct fb_matrix *m) { return blocks_of(m) * BLOCK * (LIMBS * phases_of(m) + 2); }

static int64_t padded_groups(const struct fb_matrix *m) { return up_to(m->columns / m->group, 16) + 16; }

/* Floats of room that a thread needs: scales and biases of TILE rows, and the rows taken apart, with a scale a lane. */
static int64_t integer_room(const struct fb_matrix *m) {
    return TILE * (2 * padded_groups(m) + blocks_of(m) * BLOCK / 4 * (phases_of(m) + 1));
}

/* A lane's elements, element k of each in wide[k]; beyond `left` elements they are 0. */
INLINE void lanes_of(const float *x, int64_t left, int per, __m512 *wide) {
    const __m512i lane = _mm512_mullo_epi32(_mm512_loadu_si512(LANE_NUMBERS), _mm512_set1_epi32(per));
    for (int k = 0; k < per; k++) {
        __mmask16 there = _mm512_cmplt_epi32_mask(_mm512_add_epi32(lane, _mm512_set1_epi32(k)),
                                                  _mm512_set1_epi32(left < 4096 ? (int)left : 4096));
        wide[k] = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), there, lane, x + k, 4);
    }
}

/* Takes the lowest byte off integers, as a number from -128 to 127. */
INLINE __m512i lowest_byte(__m512i *integers) {
    __m512i low = _mm512_srai_epi32(_mm512_slli_epi32(*integers, 24), 24);
    *integers = _mm512_srai_epi32(_mm512_sub_epi32(*integers, low), 8);
    return low;
}

INLINE void lay_out_block(const float *x, int64_t left, uint8_t *to, int phases) {
    __m512 wide[16], largest = _mm512_setzero_ps();
    __m512i bytes[LIMBS][4], sum = _mm512_setzero_si512();
    __mmask16 broken = 0;
    memset(bytes, 0, sizeof bytes);
    lanes_of(x, left, 4 * phases, wide);
    for (int k = 0; k < 4 * phases; k++) {
        broken |= _mm512_cmp_ps_mask(wide[k], wide[k], _CMP_UNORD_Q);
        largest = _mm512_max_ps(largest, _mm512_abs_ps(wide[k]));
    }
    __mmask16 some = _mm512_cmp_ps_mask(largest, _mm512_set1_ps(SMALLEST), _CMP_GT_OQ);
    __m512 inverse = _mm512_maskz_div_ps(some, _mm512_set1_ps(LARGEST), largest);
    for (int k = 0; k < 4 * phases; k++) {
        __m512i left_over = _mm512_cvtps_epi32(_mm512_mul_ps(wide[k], inverse));
        sum = _mm512_add_epi32(sum, left_over);
        for (int limb = LIMBS - 1; limb >= 0; limb--) {
            __m512i byte = _mm512_and_si512(lowest_byte(&left_over), _mm512_set1_epi32(255));
            byte = _mm512_sll_epi32(byte, _mm_cvtsi32_si128(k / phases * 8));
            bytes[limb][k % phases] = _mm512_or_si512(bytes[limb][k % phases], byte);
        }
    }
    for (int limb = 0; limb < LIMBS; limb++)
        for (int p = 0; p < phases; p++, to += BLOCK) _mm512_storeu_si512(to, bytes[limb][p]);
    __m512 scale = _mm512_mask_blend_ps(broken, _mm512_div_ps(largest, _mm512_set1_ps(LARGEST)), _mm512_set1_ps(__builtin_nanf("")));
    _mm512_storeu_ps(to, scale);
    _mm512_storeu_si512(to + BLOCK, _mm512_mullo_epi32(sum, _mm512_set1_epi32(-12)));
}

/* A vector as `dots_of` wants it. */
static void lay_out_integers(const struct fb_matrix *m, const float *x, uint8_t *to) {
    int phases = phases_of(m);
    int64_t block = laid_bytes(m) / blocks_of(m), step = BLOCK * phases;
    for (int64_t first = 0; first < m->columns; first += step, to += block) {
        if (phases == 1) lay_out_block(x + first, m->columns - first, to, 1);
        else if (phases == 2) lay_out_block(x + first, m->columns - first, to, 2);
        else lay_out_block(x + first, m->columns - first, to, 4);
    }
}

/* The bytes of block b as weights, phase by phase. left: bytes of the row from there on. */
INLINE void take_apart(const uint8_t *row, int64_t b, int64_t left, __m512i *weights, int bits, int mode) {
    __m512i block = left >= BLOCK ? _mm512_loadu_si512(row + b * BLOCK)
                                  : _mm512_maskz_loadu_epi8(((__mmask64)1 << left) - 1, row + b * BLOCK);
    if (bits == 8) {
        weights[0] = block;
        return;
    }
    const __m512i mask = _mm512_set1_epi8(bits == 4 ? 15 : 3);
    for (int p = 0; p < 8 / bits; p++) {
        weights[p] = _mm512_and_si512(p ? _mm512_srli_epi16(block, bits * p) : block, mask);
        if (mode != AFFINE) {
            const __m512i table = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)E2M1_TWICE_FROM_12));
            weights[p] = _mm512_shuffle_epi8(table, weights[p]);
        }
    }
}

/* Integers times 256, by a shuffle: all that multiplies bytes, and all shifts, want the same unit of the processor. */
INLINE __m512i times_256(__m512i integers) {
    return _mm512_shuffle_epi8(integers, _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)BYTE_UP)));
}

/* A block of weights times one of a vector: of each lane the sum of integers, as floats. */
INLINE __m512 block_product(const __m512i *weights, const uint8_t *x, int bits, int mode) {
    const int phases = 8 / bits;
    __m512i sum = _mm512_setzero_si512(), upper = sum;
    UNROLL(3)
    for (int limb = 0; limb < LIMBS; limb++) {
        if (limb == LIMBS - 1 && bits == 8) upper = sum, sum = _mm512_setzero_si512(); /* together they are too large */
        else if (limb > 0) sum = times_256(sum);
        UNROLL(4)
        for (int p = 0; p < phases; p++)
            sum = _mm512_dpbusd_epi32(sum, weights[p], _mm512_loadu_si512(x + (limb * phases + p) * BLOCK));
    }
    if (mode != AFFINE) sum = _mm512_add_epi32(sum, _mm512_loadu_si512(x + (LIMBS * phases + 1) * BLOCK));
    __m512 product = _mm512_cvtepi32_ps(sum);
    return bits == 8 ? _mm512_fmadd_ps(_mm512_cvtepi32_ps(upper), _mm512_set1_ps(256), product) : product;
}

/* Up to sixteen numbers, and zeros. */
INLINE __m512 load_some(const uint8_t *at, int kind, int64_t first, int64_t count) {
    __mmask16 there = count - first >= 16 ? (__mmask16)-1 : (__mmask16)((1u << (count - first)) - 1);
    if (kind == F32) return _mm512_maskz_loadu_ps(there, at + 4 * first);
    __m256i halves = _mm256_maskz_loadu_epi16(there, at + 2 * first);
    if (kind == F16) return _mm512_cvtph_ps(halves);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

/* Up to sixteen scales of a row as floats, and zeros; of 4-bit floats half of them, as their weights are taken twice. */
INLINE __m512 some_scales(const struct fb_matrix *m, const uint8_t *from, int64_t first, int mode) {
    int64_t groups = m->columns / m->group, count = groups - first;
    if (mode == AFFINE) return load_some(from, m->kind, first, groups);
    __mmask16 there = count >= 16 ? (__mmask16)-1 : (__mmask16)((1u << count) - 1);
    integers_16 v = (integers_16)_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(there, from + first));
    floats_16 values = mode == NVFP4 ? e4m3_16(v) : (floats_16)(v << 23 | ((v == 0) & (1 << 22)));
    return _mm512_maskz_mul_ps(there, (__m512)values, _mm512_set1_ps(0.5f));
}

/* All scales of a row, with zeros behind. */
INLINE void scales_of(const struct fb_matrix *m, const uint8_t *from, float *to, int mode) {
    int64_t groups = m->columns / m->group, g = 0;
    for (; g < groups; g += 16) _mm512_storeu_ps(to + g, some_scales(m, from, g, mode));
    _mm512_storeu_ps(to + g, _mm512_setzero_ps());
}

/* A row's biases times a vector's sums by group. */
INLINE __m512 of_biases(const struct fb_matrix *m, const uint8_t *biases, const float *sums, int kind) {
    int64_t groups = m->columns / m->group;
    __m512 sum = _mm512_setzero_ps();
    for (int64_t g = 0; g < groups; g += 16)
        sum = _mm512_fmadd_ps(load_some(biases, kind, g, groups), load_some((const uint8_t *)sums, F32, g, groups), sum);
    return sum;
}

/* The group that each lane of a block is in, counted from the block's first. */
INLINE __m512i lane_groups(const struct fb_matrix *m, int bits) {
    __m512i first = _mm512_mullo_epi32(_mm512_loadu_si512(LANE_NUMBERS), _mm512_set1_epi32(32 / bits));
    return _mm512_srl_epi32(first, _mm_cvtsi32_si128(__builtin_ctz((unsigned)m->group)));
}

/* The scale of each lane of block b. */
INLINE __m512 lane_scales(const float *scales, int64_t b, __m512i groups, int group_shift, int bits) {
    return _mm512_permutexvar_ps(groups, _mm512_loadu_ps(scales + (b * 16 * (32 / bits) >> group_shift)));
}

/* The bytes of a row, from its first, that are asked of memory when block b is multiplied: of the same row, or of the
 * one that is next after `count` rows. */
INLINE int64_t ahead_of(const struct fb_matrix *m, int64_t b, int count) {
    int64_t at = b * BLOCK + AHEAD_BYTES / count;
    return at < m->weight_row ? at : at + (count - 1) * m->weight_row;
}

/* y[r] of `count` rows, one or TILE, straight from their bytes, with one vector. */
INLINE void dots_of(const struct fb_matrix *m, const struct row *rows, int count, const uint8_t *x, const float *sums,
                    float *y, int bits, int mode) {
    const int phases = 8 / bits, group_shift = __builtin_ctz((unsigned)m->group);
    const int64_t values = BLOCK * phases, run = (16 << group_shift) / values; /* run: blocks of sixteen groups */
    const __m512i firsts = _mm512_mullo_epi32(_mm512_loadu_si512(LANE_NUMBERS), _mm512_set1_epi32(4 * phases));
    int64_t blocks = blocks_of(m), left = (int64_t)m->columns * bits / 8;
    __m512 sum[TILE], scales[TILE];
    UNROLL(4)
    for (int r = 0; r < count; r++)
        sum[r] = mode == AFFINE ? of_biases(m, rows[r].biases, sums, m->kind) : _mm512_setzero_ps();
    for (int64_t first = 0; first < blocks; first += run) {
        int64_t stop = first + run < blocks ? first + run : blocks;
        UNROLL(4)
        for (int r = 0; r < count; r++) scales[r] = some_scales(m, rows[r].scales, first * values >> group_shift, mode);
        for (int64_t b = first; b < stop; b++, left -= BLOCK, x += (LIMBS * phases + 2) * BLOCK) {
            __m512i element = _mm512_add_epi32(firsts, _mm512_set1_epi32((int)((b - first) * values)));
            __m512i group = _mm512_srl_epi32(element, _mm_cvtsi32_si128(group_shift));
            UNROLL(4)
            for (int r = 0; r < count; r++) {
                __m512i weights[4];
                take_apart(rows[r].weight, b, left, weights, bits, mode);
                __builtin_prefetch(rows[r].weight + ahead_of(m, b, count), 0, 2);
                __m512 scale = _mm512_permutexvar_ps(group, scales[r]);
                __m512 part = _mm512_mul_ps(block_product(weights, x, bits, mode), scale);
                sum[r] = _mm512_fmadd_ps(part, _mm512_loadu_ps(x + LIMBS * phases * BLOCK), sum[r]);
            }
        }
    }
    UNROLL(4)
    for (int r = 0; r < count; r++) y[r] = total_16((floats_16)sum[r]);
}

/* TILE rows taken apart: of each row its biases, then of each block its weights and the scales of its lanes. */
struct tile { const uint8_t *rows; const float *biases; int64_t row_bytes, groups; };

INLINE struct tile tile_of(const struct fb_matrix *m, const struct row *rows, float *room, int bits, int mode) {
    const int phases = 8 / bits, group_shift = __builtin_ctz((unsigned)m->group);
    const __m512i lanes = lane_groups(m, bits);
    int64_t blocks = blocks_of(m), groups = padded_groups(m), bytes = blocks * BLOCK * (phases + 1);
    float *scales = room, *biases = room + groups;
    uint8_t *to = (uint8_t *)(room + (TILE + 1) * groups);
    struct tile tile = {to, biases, bytes, groups};
    for (int r = 0; r < TILE; r++) {
        scales_of(m, rows[r].scales, scales, mode);
        for (int64_t g = 0; mode == AFFINE && g < m->columns / m->group; g += 16)
            _mm512_storeu_ps(biases + r * groups + g, load_some(rows[r].biases, m->kind, g, m->columns / m->group));
        for (int64_t b = 0; b < blocks; b++, to += (phases + 1) * BLOCK) {
            __m512i weights[4];
            take_apart(rows[r].weight, b, (int64_t)m->columns * bits / 8 - b * BLOCK, weights, bits, mode);
            for (int p = 0; p < phases; p++) _mm512_storeu_si512(to + p * BLOCK, weights[p]);
            _mm512_storeu_ps(to + phases * BLOCK, lane_scales(scales, b, lanes, group_shift, bits));
        }
    }
    return tile;
}

/* A tile times one vector, as `dots_of` has each of its rows. */
INLINE void tile_product(const struct fb_matrix *m, const struct tile *tile, const uint8_t *x, const float *sums,
                         float *y, int bits, int mode) {
    const int phases = 8 / bits;
    __m512 sum[TILE];
    UNROLL(4)
    for (int r = 0; r < TILE; r++)
        sum[r] = mode == AFFINE ? of_biases(m, (const uint8_t *)(tile->biases + r * tile->groups), sums, F32)
                                : _mm512_setzero_ps();
    int64_t blocks = blocks_of(m);
    const uint8_t *row = tile->rows;
    for (int64_t b = 0; b < blocks; b++, row += (phases + 1) * BLOCK, x += (LIMBS * phases + 2) * BLOCK) {
        __m512 scale = _mm512_loadu_ps(x + LIMBS * phases * BLOCK);
        UNROLL(4)
        for (int r = 0; r < TILE; r++) {
            const uint8_t *at = row + r * tile->row_bytes;
            __m512i weights[4];
            UNROLL(4)
            for (int p = 0; p < phases; p++) weights[p] = _mm512_loadu_si512(at + p * BLOCK);
            __m512 part = _mm512_mul_ps(block_product(weights, x, bits, mode), _mm512_loadu_ps(at + phases * BLOCK));
            sum[r] = _mm512_fmadd_ps(part, scale, sum[r]);
        }
    }
    for (int r = 0; r < TILE; r++) y[r] = total_16((floats_16)sum[r]);
}

/* f(..., bits, mode), with the last two known to the compiler. */
#define BY_INTEGER_FORM(m, f, ...)                                 \
    switch ((m)->mode << 4 | (m)->bits) {                          \
    case AFFINE << 4 | 2: f(__VA_ARGS__, 2, AFFINE); break;        \
    case AFFINE << 4 | 4: f(__VA_ARGS__, 4, AFFINE); break;        \
    case AFFINE << 4 | 8: f(__VA_ARGS__, 8, AFFINE); break;        \
    case MXFP4 << 4 | 4: f(__VA_ARGS__, 4, MXFP4); break;          \
    default: f(__VA_ARGS__, 4, NVFP4);                             \
    }

/* y[p][r] of rows [first, last) for pairs [begin, end), of one slot. room: `integer_room` floats. */
INLINE void rows_of_form(const struct fb_matrix *m, int64_t slot, int64_t first, int64_t last, const struct vectors *x,
                         const int64_t *vectors, int64_t begin, int64_t end, float *y, float *room, int bits, int mode) {
    for (int64_t r = first, count; r < last; r += count) {
        struct row rows[TILE];
        struct tile tile;
        count = r + TILE <= last ? TILE : 1;
        for (int k = 0; k < count; k++) rows[k] = row_of(m, slot, r + k);
        bool apart = count == TILE && end - begin > 1;
        if (apart) tile = tile_of(m, rows, room, bits, mode);
        for (int64_t p = begin; p < end; p++) {
            const uint8_t *laid = x->laid + vectors[p] * x->laid_bytes;
            const float *sums = x->sums + vectors[p] * x->groups;
            float *to = y + p * m->rows + r;
            if (apart) tile_product(m, &tile, laid, sums, to, bits, mode);
            else if (count == TILE) dots_of(m, rows, TILE, laid, sums, to, bits, mode);
            else dots_of(m, rows, 1, laid, sums, to, bits, mode);
        }
    }
}

static void rows_in_integers(const struct fb_matrix *m, int64_t slot, int64_t first, int64_t last,
                             const struct vectors *x, const int64_t *vectors, int64_t begin, int64_t end, float *y,
                             float *room) {
    int64_t some = VECTORS_BYTES / x->laid_bytes < TILE ? TILE : VECTORS_BYTES / x->laid_bytes;
    for (int64_t p = begin; p < end; p += some) {
        int64_t stop = end - p < some ? end : p + some;
        BY_INTEGER_FORM(m, rows_of_form, m, slot, first, last, x, vectors, p, stop, y, room)
    }
}

static const struct integer_kernels integer_products = {
    suits_integers, laid_bytes, integer_room, lay_out_integers, rows_in_integers,
};
