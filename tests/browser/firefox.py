"""The distribution's headless Firefox, by WebDriver BiDi on its own port: Debian has no
geckodriver, and none is needed for a page, a script and an answer."""

import asyncio
import json
import re
import subprocess

import websockets

PATIENCE_S = 60
ANSWER_MAX = 16 << 20
LISTENS = re.compile(r"WebDriver BiDi listening on (ws://\S+)")


class Firefox:
    """One page of it. Whatever certificate a server has is taken."""

    def __init__(self, folder):
        self.loop = asyncio.new_event_loop()
        self.said = open(folder / "firefox.log", "w+", encoding="utf-8")  # pylint: disable=R1732
        self.process = subprocess.Popen(  # pylint: disable=R1732
            ["/usr/bin/firefox-esr", "--headless", "--no-remote", "--profile", str(folder),
             "--remote-debugging-port", "0", "about:blank"],
            stdout=self.said, stderr=self.said, stdin=subprocess.DEVNULL, process_group=0)
        self.number = 0
        self.socket = self._wait(self._connect())
        self.ask("session.new", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})
        self.context = self.ask("browsingContext.getTree")["contexts"][0]["context"]

    def _wait(self, coroutine):
        return self.loop.run_until_complete(asyncio.wait_for(coroutine, PATIENCE_S))

    async def _connect(self):
        while True:
            assert self.process.poll() is None, "Firefox has ended"
            found = LISTENS.search(open(self.said.name, encoding="utf-8").read())
            if found:
                return await websockets.connect(found[1] + "/session", max_size=ANSWER_MAX)
            await asyncio.sleep(0.1)

    async def _answer(self, message):
        await self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(await self.socket.recv())
            if answer.get("id") == message["id"]:
                return answer

    def ask(self, method, **params):
        self.number += 1
        answer = self._wait(self._answer({"id": self.number, "method": method, "params": params}))
        assert answer["type"] == "success", answer
        return answer["result"]

    def get(self, url):
        self.ask("browsingContext.navigate", context=self.context, url=url, wait="complete")

    def run(self, script):
        """What the script gives, as JSON has it."""
        result = self.ask("script.evaluate", expression=f"JSON.stringify({script})",
                          target={"context": self.context}, awaitPromise=True)
        assert result["type"] == "success", result
        return json.loads(result["result"]["value"]) if "value" in result["result"] else None

    def quit(self):
        self._wait(self.socket.close())
        self.process.terminate()
        self.process.wait(PATIENCE_S)
        self.said.close()
        self.loop.close()
