# one order for all, whoever comes first: {{ locks }}
first, second = sorted((one_lock, other_lock), key=id)
with first, second:
    ...                            # {{ function }}{{ place }}
