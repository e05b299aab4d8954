def main(argv: list[str], environment: dict[str, str]) -> int:
    raise NotImplementedError
