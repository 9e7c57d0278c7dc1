"""The same pages drawn with Streamlit, mounted at /streamlit beside Gradio's, or served alone."""
