"""Serve a GGUF model over HTTP: lm_server.py MODEL PORT; llama.cpp does the work."""

import os
import signal
import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path, params.port = sys.argv[1], int(sys.argv[2])
params.model_alias = {"smollm2"}
params.n_parallel = 2
params.n_ctx = 2 * 3072  # a share per slot; six examples and a mail need 1,300
params.cpuparams.n_threads = int(os.environ.get("GEPA_DEMO_THREADS", "2"))
params.cache_ram_mib = 256  # prompts put aside; the default takes 8 GB
params.use_jinja = False  # else answers come in ``` fences that the tokens have and the content has not
server = xllamacpp.Server(params)
print("listening on", server.listening_address, flush=True)
signal.pause()
