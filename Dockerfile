# The hub in a container, for CPUs or NVIDIA GPUs:
#   docker build -t demo-hub .
#   docker run -p 7860:7860 -v hub-data:/home/user/app/data demo-hub
#   docker build -t demo-hub:cuda --build-arg TORCH=cuda .
#   docker run --gpus all -p 7860:7860 -v hub-data:/home/user/app/data demo-hub:cuda
# Settings are HUB_... variables: docker run -e HUB_PRELOAD=1 ...
# With nothing writable but the data and /tmp: docker run --read-only --tmpfs /tmp -e HOME=/tmp --cap-drop ALL ...

# --- the packages, in an environment of their own that the image copies ---------------------------
FROM python:3.11.14-slim-bookworm AS packages

# cpu: the small build of torch, from PyTorch's own index; cuda: the one on PyPI, which brings CUDA along. The driver is
# the host's in any case, so both stand on the same base.
ARG TORCH=cpu
# What else is wanted of requirements-NAME.txt: --build-arg EXTRAS="otel"
ARG EXTRAS=""

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PATH=/opt/hub/bin:$PATH

WORKDIR /build
# Before the code, so that a change of the code does not install 2 GB again.
COPY requirements*.txt ./
RUN case "$TORCH" in cpu|cuda) ;; *) echo "TORCH must be cpu or cuda, got '$TORCH'" >&2; exit 1 ;; esac \
    && python -m venv /opt/hub \
    && if [ "$TORCH" = cpu ]; then \
        grep -oE '^(torch|torchvision)==[^ ;]+' requirements.txt > torch.txt \
        && pip install --index-url https://download.pytorch.org/whl/cpu -r torch.txt \
        && awk '/^[a-z]/ { cuda = /^(cuda-|nvidia-|triton)/ } !cuda' requirements.txt > others.txt \
        && pip install -r others.txt; \
    else \
        pip install -r requirements.txt; \
    fi \
    && for extra in $EXTRAS; do pip install -r "requirements-$extra.txt" || exit 1; done

# --- the hub --------------------------------------------------------------------------------------
FROM python:3.11.14-slim-bookworm

ENV PATH=/opt/hub/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

# Spaces run a container as user 1000.
RUN useradd --create-home --uid 1000 user
WORKDIR /home/user/app
COPY --from=packages /opt/hub /opt/hub
COPY --chown=1000:1000 . .
# Each process would compile the hub's own code at its start, since nothing is written there later.
RUN python -m compileall -q hub demos app.py \
    && install --directory --owner=1000 --group=1000 data
USER 1000

ENV HUB_HOST=0.0.0.0 \
    HUB_PORT=7860
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['HUB_PORT'] + '/healthz', timeout=4)"]
CMD ["python", "app.py"]
