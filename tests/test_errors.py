from sam3d_bento import errors


def tree(kind, depth=0):
    yield kind.__name__, depth
    for child in kind.__subclasses__():
        yield from tree(child, depth + 1)


def test_the_docstring_draws_the_tree_as_it_is():
    drawn = []
    for line in errors.__doc__.splitlines():
        bare = line.lstrip(" │├└─")
        if line.startswith("    ") and bare:
            drawn.append((bare.split()[0], (len(line) - len(bare)) // 4 - 1))
    assert drawn == list(tree(errors.Sam3DError))


def test_the_docstring_says_each_status():
    for name, _ in tree(errors.Sam3DError):
        status = vars(getattr(errors, name)).get("status")
        line = next(line for line in errors.__doc__.splitlines() if f" {name} " in f"{line} ")
        assert status is None or str(status) in line or name == "Internal"


def test_every_error_with_a_code_is_found_by_it():
    with_code = {kind for name, _ in tree(errors.Sam3DError) if "code" in vars(kind := getattr(errors, name))}
    assert set(errors.by_code().values()) == with_code
    assert all(kind.code == code for code, kind in errors.by_code().items())
