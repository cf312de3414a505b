"""A decoder's process in which some files do what hostile ones would do to a decoder with a flaw."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import sentimm.images
from sentimm.scoring.pipeline.decoder_process import serve

CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from tests.support.bad_decoder import main; main(*map(int, sys.argv[2:]))"
)


def main(*arguments: int) -> None:
    """Serve with a decoder that obeys what a file begins with."""
    open_image = sentimm.images.Image.open

    def open_or_fail(stream, formats):
        match stream.getvalue():
            case b"crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case b"abort":
                os.abort()
            case b"exit":
                os._exit(3)
            case b"hang":
                while True:
                    pass
            case b"sleep":
                time.sleep(600)
            case b"eat":
                eaten = []
                while True:
                    eaten.append(bytearray(1 << 26))
            case b"chatter":
                os.write(2, b"\x1b[2J")
                print("chatter", file=sys.stderr)
        return open_image(stream, formats=formats)

    sentimm.images.Image.open = open_or_fail
    serve(*arguments)


if __name__ == "__main__":  # a process whose decoder is at work when it is killed itself
    from sentimm.scoring.pipeline.decoder import DecoderLimits
    from sentimm.scoring.pipeline.decoder_pool import DecoderPool

    with DecoderPool(8, 1, limits=DecoderLimits(seconds=2, code=CODE)) as pool, pool.borrow() as decoder:
        process = decoder.start()
        print(json.dumps(process.pid), flush=True)
        decoder.decode([b"hang"])
