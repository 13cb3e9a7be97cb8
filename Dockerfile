# headspex on an NVIDIA GPU.
#
#     docker build -t headspex .
#     docker run --gpus all -v "$PWD:/data" -v "$HOME/.cache/huggingface:/models" headspex \
#         prune --model llama-3.1-8b --task mmlu --dry-run
#
# Runs are written below the folder that is mounted as /data. torch brings the CUDA libraries it was built with;
# the machine's driver has to be new enough for them.
FROM nvidia/cuda:12.8.1-runtime-ubuntu24.04

RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

COPY . /src
RUN python3 -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --constraint /src/constraints.txt \
        "/src[ray,lm-eval,peft,gguf,quantised]"

ENV PATH=/venv/bin:$PATH HF_HOME=/models
WORKDIR /data
ENTRYPOINT ["headspex"]
CMD ["doctor"]
