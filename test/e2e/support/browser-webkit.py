# WebKitGTK, steered by lines of JSON on standard input: {"open": address} | {"evaluate": expression} |
# {"reload": true} | {"picture": path}; each is answered by one line, {"value": ...} or {"error": ...},
# before the next is read.
# Arguments: the folder of its data; width and height; certificate and key, if it has them.
import json
import sys

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("WebKit2", "4.1")
from gi.repository import Gio, GLib, Gtk, WebKit2  # noqa: E402

folder, width, height, *credential = sys.argv[1:]


# No command takes longer, a page with all its files neither.
DEADLINE_SECONDS = 60


class Command:
    """One line that was read, and its one answer: what comes later for it goes nowhere."""

    def __init__(self, told):
        self.told = told
        self.is_answered = False

    def answer(self, **told):
        if self.is_answered:
            return
        self.is_answered = True
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()

    def end(self):
        self.answer(error=f"not answered within {DEADLINE_SECONDS} s: {self.told}")
        return False


latest = Command("the start")


data = WebKit2.WebsiteDataManager(base_data_directory=folder, base_cache_directory=folder)
context = WebKit2.WebContext.new_with_website_data_manager(data)
cookies = data.get_cookie_manager()
cookies.set_persistent_storage(folder + "/cookies", WebKit2.CookiePersistentStorage.SQLITE)
view = WebKit2.WebView.new_with_context(context)
window = Gtk.Window()
window.set_default_size(int(width), int(height))
window.add(view)
window.show_all()


def on_authenticate(_view, request):
    if request.get_scheme() != WebKit2.AuthenticationScheme.CLIENT_CERTIFICATE_REQUESTED:
        return False
    if credential:
        certificate = Gio.TlsCertificate.new_from_files(*credential)
        persistence = WebKit2.CredentialPersistence.FOR_SESSION
        request.authenticate(WebKit2.Credential.new_for_certificate(certificate, persistence))
    else:
        request.authenticate(None)
    return True


view.connect("authenticate", on_authenticate)



def is_load(command):
    return "open" in command.told or "reload" in command.told


def on_load(_view, event):
    if event == WebKit2.LoadEvent.FINISHED and is_load(latest):
        latest.answer(value=None)
    # A page that was left may be kept, to go back to: a promise of it is not settled then, nor dropped.
    if event == WebKit2.LoadEvent.COMMITTED and "evaluate" in latest.told:
        latest.answer(error="the page was left")


def on_fail(_view, _event, address, error):
    # Another load has taken its place: that one tells.
    if is_load(latest) and error.code != WebKit2.NetworkError.CANCELLED:
        latest.answer(error=f"{address}: {error.message}")
    return False


view.connect("load-changed", on_load)
view.connect("load-failed", on_fail)


def on_evaluated(_view, result, command):
    try:
        value = view.call_async_javascript_function_finish(result).to_string()
        command.answer(value=json.loads(value))
    except Exception as error:
        command.answer(error=str(error))


def on_pictured(_view, result, command):
    try:
        view.get_snapshot_finish(result).write_to_png(command.told["picture"])
        command.answer(value=None)
    except Exception as error:
        command.answer(error=str(error))


def on_line(source, _condition):
    global latest
    line = source.readline()
    if not line:
        Gtk.main_quit()
        return False
    told = json.loads(line)
    latest = command = Command(told)
    GLib.timeout_add_seconds(DEADLINE_SECONDS, command.end)
    if "open" in told:
        view.load_uri(told["open"])
    elif "reload" in told:
        view.reload()
    elif "evaluate" in told:
        body = "return await " + told["evaluate"]
        view.call_async_javascript_function(body, -1, None, None, None, None, on_evaluated, command)
    elif "picture" in told:
        region, no_options = WebKit2.SnapshotRegion.VISIBLE, WebKit2.SnapshotOptions.NONE
        view.get_snapshot(region, no_options, None, on_pictured, command)
    return True


GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, on_line)
latest.answer(value="ready")
Gtk.main()
