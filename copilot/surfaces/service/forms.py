"""Forms of our own pages: read, and refused where another page sent them."""

import hmac
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends
from starlette.exceptions import HTTPException
from starlette.requests import Request

from copilot.surfaces.service.body import body
from copilot.surfaces.service.visit import Visit
from copilot.types.people import PersonSession


def form(content: Annotated[bytes, Depends(body)]) -> dict[str, str]:
    """The fields of a form, each once; empty where it is none."""
    try:
        read = parse_qs(content.decode(), max_num_fields=300)
    except ValueError:
        return {}
    return {name: values[-1] for name, values in read.items()}


Sent = Annotated[dict[str, str], Depends(form)]


def same_origin(request: Request, visit: Visit) -> None:
    """Raise unless a page of ours sent the form, as far as the browser tells."""
    origin = request.headers.get("origin", visit.origin)
    site = request.headers.get("sec-fetch-site", "same-origin")
    if origin != visit.origin or site not in ("same-origin", "none"):
        raise HTTPException(403, "this form was sent from another page")


def meant(request: Request, visit: Visit, sent: Mapping[str, str]) -> PersonSession:
    """Who sent the form, and meant to; raises 403 with what to do."""
    same_origin(request, visit)
    if visit.session is None:
        raise HTTPException(403, "you are not signed in: sign in, then try again")
    if not hmac.compare_digest(sent.get("csrf", "").encode(), visit.csrf.encode()):
        raise HTTPException(403, "the form is of another session: open the page again")
    return visit.session
