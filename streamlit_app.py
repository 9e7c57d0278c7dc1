"""The Streamlit pages. `streamlit run streamlit_app.py` serves them on their own; `app.py` has them at /streamlit."""

if __name__ == "__main__":  # Streamlit runs this file for each visitor, at each click
    from hub.web.streamlit_ui import page as streamlit_page

    streamlit_page.draw()
else:  # `streamlit run` finds the app here
    from streamlit.starlette import App

    from hub.web import server

    app = App(__file__, **server.streamlit_options())
