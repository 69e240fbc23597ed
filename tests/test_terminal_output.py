from book._ext.terminal_output import rewrite_lines


def test_a_carriage_return_rewrites_its_line():
    bar = "start\n 0%\r 50%\r100%\nend"
    assert rewrite_lines(bar) == "start\n100%\nend"
    assert rewrite_lines("10%\r99%\r") == "99%"
    assert rewrite_lines("dos\r\nlines\r\n") == "dos\nlines\n"
    assert rewrite_lines("plain\n") == "plain\n"
