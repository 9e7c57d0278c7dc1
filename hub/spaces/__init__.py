"""The hub as a Hugging Face Space: what a Space needs, its export and push, and runs on ZeroGPU."""
