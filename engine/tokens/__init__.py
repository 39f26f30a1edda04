"""From text to tokens and back: tokenizer, prompt, stopping, texts to measure on."""
