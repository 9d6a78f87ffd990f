"""Orders on their way. Only the latest state of each counts: its channel is asked for that."""
import itertools
import json
import random
import threading
import time

SETTINGS = ["order:latest_state=on"]
STEPS = ["ordered", "packed", "on the road", "at the door"]
ORDERS = 4


def start(publish):
    threading.Thread(target=travel, args=(publish,), daemon=True).start()


def travel(publish):
    steps = [0] * ORDERS
    for turn in itertools.count():
        order = turn % ORDERS
        if turn >= ORDERS:
            steps[order] = (steps[order] + random.choice([0, 1])) % len(STEPS)
        state = {"order": order + 1, "step": steps[order], "says": STEPS[steps[order]]}
        publish(f"order:{order + 1}", json.dumps(state))
        time.sleep(0.4)
