"""Makes thumbnails of photographs with Pillow in a pool of threads.

Pillow decodes, resizes and encodes in C and lets go of the GIL meanwhile, so that the threads use
all CPUs. What is left of Python between the calls is little.

Verdict: native-parallel
Healthy: yes
Packages: pillow
"""
from __future__ import annotations

import io
import itertools
import os
import random
import signal
import sys
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

from PIL import Image, ImageDraw, ImageFilter, ImageOps

THREADS = 4
SIZES = (1024, 512, 128)


def take_photographs(folder, count=6):
    dice = random.Random(1)
    paths = []
    for number in range(count):
        picture = Image.effect_noise((1800, 1200), 60).convert("RGB")
        draw = ImageDraw.Draw(picture)
        for _ in range(30):
            x, y = dice.randrange(1600), dice.randrange(1000)
            colour = tuple(dice.randrange(256) for _ in range(3))
            draw.ellipse((x, y, x + 200, y + 200), fill=colour)
        path = os.path.join(folder, "photo-%d.jpg" % number)
        picture.save(path, quality=88)
        paths.append(path)
    return paths


class Gallery:
    def __init__(self, folder):
        self.folder = folder
        self.made = 0
        self.bytes = 0

    def thumbnails(self, path):
        """All sizes of one photograph; the names of what was written."""
        written = []
        with Image.open(path) as photograph:
            picture = ImageOps.exif_transpose(photograph)
        for size in SIZES:
            small = ImageOps.contain(picture, (size, size), Image.LANCZOS)
            small = small.filter(ImageFilter.UnsharpMask(radius=2, percent=80))
            name = "%s-%d.webp" % (os.path.splitext(os.path.basename(path))[0], size)
            target = os.path.join(self.folder, name)
            buffer = io.BytesIO()
            small.save(buffer, "JPEG", quality=82, optimize=True)
            with open(target, "wb") as file:
                file.write(buffer.getvalue())
            written.append((target, buffer.tell()))
        return written

    def count(self, written):
        self.made += len(written)
        self.bytes += sum(size for _, size in written)


def run(gallery, photographs, seconds):
    source = itertools.cycle(photographs)
    deadline = time.monotonic() + seconds
    with ThreadPoolExecutor(THREADS, thread_name_prefix="thumbs") as pool:
        jobs = {pool.submit(gallery.thumbnails, next(source)) for _ in range(2 * THREADS)}
        print("ready", flush=True)
        try:
            while time.monotonic() < deadline:
                done, jobs = wait(jobs, return_when=FIRST_COMPLETED)
                for job in done:
                    gallery.count(job.result())
                    jobs.add(pool.submit(gallery.thumbnails, next(source)))
        finally:
            for job in jobs:
                job.cancel()


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory() as folder:
        gallery = Gallery(folder)
        run(gallery, take_photographs(folder), seconds)
        print("%d thumbnails, %d bytes" % (gallery.made, gallery.bytes), file=sys.stderr)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
