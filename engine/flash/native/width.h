/*
 * All that is made once for every width of vectors that a processor may have: of LANES floats, BESIDE
 * rows of numbers at once, VECTORS vectors with a panel at once, with NAME(f) as the name of function f for that width.
 * Included by products.c.
 */

#define floats NAME(floats)
#define integers NAME(integers)
#define halves NAME(halves)
#define bytes NAME(bytes)

typedef float floats __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t integers __attribute__((vector_size(4 * LANES), aligned(1), may_alias));
typedef int16_t halves __attribute__((vector_size(2 * LANES), aligned(1), may_alias));
typedef uint8_t bytes __attribute__((vector_size(LANES), aligned(1), may_alias));

#define PANEL (2 * LANES)

#include "row_products.h"
#include "panels.h"
#include "elementwise.h"

static const struct kernels NAME(kernels) = {
    .width = LANES, .lanes = LANES, .beside = BESIDE, .vectors = VECTORS, .dots = NAME(dots),
    .dots_rows = NAME(dots_rows), .unpack = NAME(unpack), .turn = NAME(turn), .take = NAME(take), .add_panel = NAME(add_panel),
    .add = NAME(add), .add_laid_out = NAME(add_laid_out), .sum = NAME(sum), .sums = NAME(sums),
    .softmax = NAME(softmax), .shares = NAME(shares), .weigh = NAME(weigh), .gate = NAME(gate), .norm = NAME(norm),
};

#undef floats
#undef integers
#undef halves
#undef bytes
#undef LANES
#undef BESIDE
#undef VECTORS
#undef PANEL
#undef NAME
