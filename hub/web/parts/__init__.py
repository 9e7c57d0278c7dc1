"""Words and fragments of HTML that Gradio's pages, Streamlit's and the site share; they draw what they are handed."""
