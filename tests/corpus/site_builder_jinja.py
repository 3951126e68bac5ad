"""Builds a static site: articles with a head of YAML, rendered through Jinja2 templates.

A progress bar of rich is drawn by a thread of its own ten times a second; the main thread parses and
renders, and writes small files. One core's worth of work, as a site builder has it.

Verdict: cpu-bound
Healthy: yes
Packages: jinja2, pyyaml, rich
"""
from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time

import jinja2
import yaml
from rich.console import Console
from rich.progress import Progress

ARTICLES = 150
TEMPLATES = {
    "base.html": """<!doctype html><title>{% block title %}{% endblock %}</title>
<nav>{% for page in recent %}<a href="{{ page.slug }}.html">{{ page.title }}</a>{% endfor %}</nav>
<main>{% block body %}{% endblock %}</main>""",
    "article.html": """{% extends "base.html" %}
{% block title %}{{ article.title }}{% endblock %}
{% block body %}<h1>{{ article.title|upper }}</h1>
{% for tag in article.tags|sort %}<span class="tag">{{ tag }}</span>{% endfor %}
{% for paragraph in article.text.split("\n\n") %}<p>{{ paragraph|wordwrap(72)|escape }}</p>
{% endfor %}{% endblock %}""",
}
WORDS = "lorem ipsum dolor sit amet consetetur sadipscing elitr sed diam nonumy".split()


class Article:
    def __init__(self, slug, head, text):
        self.slug = slug
        self.title = head["title"]
        self.tags = head["tags"]
        self.date = head["date"]
        self.text = text

    @classmethod
    def parse(cls, path):
        with open(path) as file:
            _, head, text = file.read().split("---\n", 2)
        slug = os.path.splitext(os.path.basename(path))[0]
        return cls(slug, yaml.safe_load(head), text)


def write_articles(folder):
    dice = random.Random(2)
    for number in range(ARTICLES):
        text = "\n\n".join(" ".join(dice.choices(WORDS, k=80)) for _ in range(12))
        head = {"title": "Article %d" % number, "tags": dice.sample(WORDS, 3), "date": "2026-01-02",
                "author": {"name": "A. Writer", "links": ["https://example.org/%d" % number] * 5}}
        with open(os.path.join(folder, "article-%03d.md" % number), "w") as file:
            file.write("---\n%s---\n%s" % (yaml.safe_dump(head), text))


class Site:
    def __init__(self, source, target):
        self.source = source
        self.target = target
        loader = jinja2.DictLoader(TEMPLATES)
        self.templates = jinja2.Environment(loader=loader, autoescape=True)

    def build(self, progress):
        names = sorted(os.listdir(self.source))
        job = progress.add_task("building", total=2 * len(names))
        articles = []
        for name in names:
            articles.append(Article.parse(os.path.join(self.source, name)))
            progress.advance(job)
        template = self.templates.get_template("article.html")
        recent = sorted(articles, key=lambda article: article.date)[-30:]
        for article in articles:
            page = template.render(article=article, recent=recent)
            with open(os.path.join(self.target, article.slug + ".html"), "w") as file:
                file.write(page)
            progress.advance(job)
        progress.remove_task(job)


def main(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    console = Console(stderr=True, force_terminal=True)
    with tempfile.TemporaryDirectory() as source, tempfile.TemporaryDirectory() as target:
        write_articles(source)
        site = Site(source, target)
        with Progress(console=console) as progress:
            print("ready", file=sys.__stdout__, flush=True)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                site.build(progress)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
