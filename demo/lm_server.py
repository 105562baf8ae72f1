"""Serve a GGUF model over HTTP: lm_server.py MODEL PORT [TEMPLATE]; llama.cpp does the work.

TEMPLATE is a file with a Jinja chat template; without it the model's own format is used.
"""

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
if len(sys.argv) > 3:
    params.use_jinja = True
    with open(sys.argv[3], encoding="utf-8") as template:
        params.chat_template = template.read()
server = xllamacpp.Server(params)
print("listening on", server.listening_address, flush=True)
signal.pause()
