"""An app that answers with what `upload_form.read` made of a request."""

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from sam3d_bento.serving.middleware.access_log import AccessLog
from sam3d_bento.serving.middleware.content_encoding import ContentEncoding
from sam3d_bento.serving.routes import upload_form
from sam3d_bento.serving.routes.handlers import problem_responses

MAX_BYTES = 1_000_000


def client():
    """Return a client of it. `/` takes options, every other path takes none. Files come back as Latin-1."""

    @problem_responses
    async def show(request):
        given = await upload_form.read(request, options=request.url.path in ("/", "/api/inference"))
        submission = given.submission
        return JSONResponse(
            {
                "photo": submission.photo.read().decode("latin-1"),
                "mask": submission.mask and submission.mask.read().decode("latin-1"),
                **{
                    name: file and file.read().decode("latin-1")
                    for name, file in (("depth", submission.depth), ("pointmap", submission.pointmap))
                },
                "scene": submission.scene
                and {
                    "masks": [mask.read().decode("latin-1") for mask in submission.scene.masks],
                    "labels": submission.scene.labels and submission.scene.labels.read().decode("latin-1"),
                    "objects": submission.scene.objects,
                },
                "options": submission.options.model_dump(),
                "link": upload_form.wants_link(given, request.headers.get("accept", "")),
            }
        )

    app = Starlette(routes=[Route("/{path:path}", show, methods=["POST"])])
    return TestClient(AccessLog(ContentEncoding(app, MAX_BYTES)), raise_server_exceptions=True)
