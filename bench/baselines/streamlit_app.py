"""A bare Streamlit app with one page: an uploader, and the answer below it; the model is a cached resource.

streamlit run bench/baselines/streamlit_app.py -- --weights-folder F --dtype D SLUG
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # Streamlit has this file's folder there

from bench.baselines.plain import decode, demo_of, options, predictor
from bench.inputs import values
from hub.spec import ImageInput, Labels

given = options()
demo = demo_of(given.slugs[0])


@st.cache_resource
def load() -> Callable[..., dict[str, Any]]:
    return predictor(given.slugs[0], given)


st.title(demo.title)
st.write(demo.summary)
names = [field.name for field in demo.inputs if isinstance(field, ImageInput)]
photo = st.file_uploader(demo.inputs[0].label, type=["jpg", "png"])
if photo is not None:
    rest = {name: value for name, value in values(demo, 0).items() if name not in names}
    answer = load()(**rest, **{name: decode(photo.getvalue()) for name in names})
    for output in demo.outputs:
        if isinstance(output, Labels):
            st.json(answer[output.name])
