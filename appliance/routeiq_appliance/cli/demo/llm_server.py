"""Serves a GGUF model with an OpenAI-compatible API (llama.cpp). A script of its own, run by its own environment.

It imports nothing of RouteIQ: to the gateway it is an upstream like any other.
"""

import argparse
import os
import signal
import sys

from xllamacpp import CommonParams, Server

READY = "the model is served at"


def main() -> None:
    """Load the model, listen, say so on stdout, and stay until SIGTERM. `LLM_API_KEY` is what callers must show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="GGUF file")
    parser.add_argument("--name", required=True, help="name that callers use")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    # Blocked before the server starts its threads, so that the signal waits for this one.
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    params = CommonParams()
    params.model.path = options.model
    params.model_alias = {options.name}
    params.hostnames = [options.host]
    params.port = options.port
    params.n_ctx = 4096
    params.n_parallel = 2
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.api_keys = [os.environ["LLM_API_KEY"]]
    params.offline = True
    params.ui = False
    server = Server(params)
    sys.stdout.write(f"{READY} {server.listening_address}\n")
    sys.stdout.flush()
    signal.sigwait(stop)


if __name__ == "__main__":
    main()
