"""What stands between visitors and the routes that Gradio mounts: which of them answer, and whose files they give.

The pages themselves are in `gradio_ui`.
"""
