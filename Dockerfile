# Trains, evaluates and predicts as a user without rights.
#
#   docker build --tag ecgfounder-ft .
#   docker run --rm --gpus all --shm-size 8g --user "$(id -u):$(id -g)" \
#     --volume /data:/data:ro --volume "$PWD/outputs:/ecg/outputs" --volume "$PWD/checkpoint:/ecg/checkpoint" \
#     ecgfounder-ft train data=table data.path=/data/my_recordings.csv
#
# On a machine without a GPU, --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu takes the smaller build.
# --build-arg BASE=... takes another image with Python 3.11 to 3.13, a mirror's or your hospital's own.

ARG BASE=python:3.12-slim
FROM ${BASE} AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE CHANGELOG.md CITATION.cff CONTRIBUTING.md constraints.txt train.py Makefile ./
COPY src src
COPY configs configs
COPY checkpoint checkpoint
RUN python -m pip install --no-cache-dir --constraint constraints.txt hatchling \
 && python -m hatchling build --target wheel --directory /wheels

FROM ${BASE}
ARG TORCH_INDEX=
COPY --from=build /wheels /wheels
COPY constraints.txt /wheels/constraints.txt
RUN python -m pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
      --constraint /wheels/constraints.txt "$(echo /wheels/*.whl)[train,edf,hdf5,devices]" \
 && rm -r /wheels \
 && useradd --create-home --uid 10001 ecg \
 && mkdir -p /ecg/outputs /ecg/checkpoint \
 && chown -R ecg /ecg \
 && chmod -R a+rwX /ecg
# any user that `docker run --user` names may write where libraries keep their caches
ENV HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib PYTHONUNBUFFERED=1
USER 10001
WORKDIR /ecg
ENTRYPOINT ["ecgfounder-ft"]
CMD ["--help"]
