"""The pages drawn with Gradio, a gallery and one per demo, and the endpoints for gradio_client: from declarations."""
