# WebKitGTK, steered by lines of JSON on standard input: {"open": address} | {"evaluate": expression} |
# {"reload": true} | {"picture": path}; each is answered by one line, {"value": ...} or {"error": ...}.
# Arguments: the folder of its data; width and height; certificate and key, if it has them.
import json
import sys

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("WebKit2", "4.1")
from gi.repository import Gio, GLib, Gtk, WebKit2  # noqa: E402

folder, width, height, *credential = sys.argv[1:]


def answer(**told):
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


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

# A load that is under way, until the page is there.
is_opening = False


def on_load(_view, event):
    global is_opening
    if is_opening and event == WebKit2.LoadEvent.FINISHED:
        is_opening = False
        answer(value=None)


def on_fail(_view, _event, address, error):
    global is_opening
    # Another load has taken its place: that one tells.
    if is_opening and error.code != WebKit2.NetworkError.CANCELLED:
        is_opening = False
        answer(error=f"{address}: {error.message}")
    return False


view.connect("load-changed", on_load)
view.connect("load-failed", on_fail)


def on_evaluated(_view, result):
    try:
        answer(value=json.loads(view.call_async_javascript_function_finish(result).to_string()))
    except Exception as error:
        answer(error=str(error))


def on_pictured(_view, result, path):
    view.get_snapshot_finish(result).write_to_png(path)
    answer(value=None)


def on_line(source, _condition):
    global is_opening
    line = source.readline()
    if not line:
        Gtk.main_quit()
        return False
    told = json.loads(line)
    if "open" in told:
        is_opening = True
        view.load_uri(told["open"])
    elif "reload" in told:
        is_opening = True
        view.reload()
    elif "evaluate" in told:
        body = "return await " + told["evaluate"]
        view.call_async_javascript_function(body, -1, None, None, None, None, on_evaluated)
    elif "picture" in told:
        region, no_options = WebKit2.SnapshotRegion.VISIBLE, WebKit2.SnapshotOptions.NONE
        view.get_snapshot(region, no_options, None, on_pictured, told["picture"])
    return True


GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, on_line)
answer(value="ready")
Gtk.main()
