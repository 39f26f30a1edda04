"""From a checkpoint to a prepared model: bundling, calibration, predictors."""
