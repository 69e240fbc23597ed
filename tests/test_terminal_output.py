from nbformat.v4 import new_output

from book._ext.terminal_output import coalesce_streams, join_streams


def stream(name, text):
    return new_output("stream", name=name, text=text)


def test_only_the_last_state_of_a_bar_is_shown():
    pieces = [stream("stderr", text) for text in ("\r  0%", "\r 50%", "\r100%", "\n", "done\n")]
    (shown,) = coalesce_streams(join_streams(pieces))
    assert shown["text"] == "100%\ndone\n"


def test_other_outputs_stay_where_they_are():
    picture = new_output("display_data", data={"text/plain": "a picture"})
    outputs = [stream("stdout", "a\n"), picture, stream("stdout", "b"), stream("stderr", "c")]
    assert join_streams(outputs) == outputs
