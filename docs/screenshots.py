"""`python -m docs.screenshots FOLDER`: the demo on the console's pages, from alert to recovery.

Needs Debian's Chromium, and a font with Chinese letters for the Chinese pages.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.evals.chromium import Tab, opened

SHOTS = (
    ("light-1440", 1440, "light", "en"),
    ("dark-1440", 1440, "dark", "en"),
    ("phone-zh", 390, "light", "zh"),
)
SETTLED_S = 1.5


def main(folder: Path) -> None:
    """Play the demo, sign in, approve, and picture the pages before and after."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "copilot", "--data-dir", f"{place}/data"]
        process = subprocess.Popen(
            [*command, "demo", "--console", "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "COPILOT_MODEL_USE": "off"},
        )
        try:
            assert process.stdout is not None
            lines = (process.stdout.readline() for _ in range(3))
            link = re.findall(r"http\S+sign-in\S+", "".join(lines))[0]
            with opened(Path(place) / "profile") as tab:
                _picture(tab, link, folder)
        finally:
            process.terminate()
            process.wait()


def _picture(tab: Tab, link: str, folder: Path) -> None:
    base = link.partition("/console/")[0]
    tab.open(link, 390)
    tab.value("document.querySelector('#name').value = 'anna'")
    tab.value("document.querySelector('form.sign-in button').click()")
    while tab.value("document.querySelector('.status.awaiting_approval') === null"):
        time.sleep(SETTLED_S)
    path = tab.value("document.querySelector('.incidents a').getAttribute('href')")
    _shoot(tab, base, {"now": "/", "incident": path}, folder, "waiting")
    tab.open(base + path, 390)
    tab.value("document.querySelector('.decide button.yes').click()")
    while tab.value("document.querySelector('.status.recovered') === null"):
        time.sleep(SETTLED_S)
    pages = {
        "now": "/",
        "incident": path,
        "ask": _asked(tab, base, path),
        "knowledge": "/console/knowledge",
        "search": "/console/knowledge?q=error+rate+after+a+release",
        "document": "/console/knowledge/bad-deploy",
        "draft": path.replace("/incidents/", "/drafts/"),
        "playbooks": "/console/playbooks",
        "playbook": "/console/playbooks/rollback",
        "journal": "/console/journal",
        "alerts": "/console/alerts",
    }
    _shoot(tab, base, pages, folder, "recovered")


def _asked(tab: Tab, base: str, path: str) -> str:
    """Ask two questions on the page of the incident; the address of the conversation."""
    tab.open(f"{base}{path}?lang=en", 1440)
    turns = "document.querySelectorAll('.turn .reply').length"
    for sent, click in enumerate(("form.ask button.yes", "form.ask .suggested button"), 1):
        tab.value("document.querySelector('#ask-text').value = 'what is the cause?'")
        tab.value(f"document.querySelector('{click}').click()")
        while tab.value(turns) < sent:
            time.sleep(SETTLED_S)
    named = tab.value("document.querySelector('form.ask [name=conversation]').value")
    return f"/console/ask?conversation={named}"


def _shoot(tab: Tab, base: str, pages: dict[str, str], folder: Path, when: str) -> None:
    for name, path in pages.items():
        for shot, width, scheme, language in SHOTS:
            joined = "&" if "?" in path else "?"
            tab.open(f"{base}{path}{joined}lang={language}", width, scheme)  # type: ignore[arg-type]
            time.sleep(SETTLED_S)
            tab.screenshot(folder / f"{name}-{when}-{shot}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
