"""Running a model: loading, prefill, decoding, answers, evaluation, proof."""
