# {{ function }}{{ place }}
answer = wait_or_compute(item)     # without {{ lock }}
with {{ lock }}:
    update(answer)                 # only what the lock guards; check again what may have changed
