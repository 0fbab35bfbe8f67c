"""Text that is completed, speech, pictures and sound."""

import base64
import unittest

from support import ADAPTERS, client, control
from upstreams.scripts import PROMPT_TOKENS, SOUND, TEXT, WORDS


class Media(unittest.TestCase):
    def setUp(self):
        self.client = client()
        self.addCleanup(self.client.close)

    def test_a_text_is_completed(self):
        for adapter in ADAPTERS:
            with self.subTest(adapter):
                answer = self.client.completions.create(
                    model=f"{adapter}-text", prompt="Es war einmal", max_tokens=9)
                self.assertEqual(answer.choices[0].text, TEXT)
                self.assertEqual(answer.choices[0].finish_reason, "stop")
                self.assertEqual(answer.usage.total_tokens, PROMPT_TOKENS + len(WORDS))
                self.assertEqual(control(adapter, "last")["body"]["prompt"], "Es war einmal")

    def test_a_recording_arrives_byte_for_byte(self):
        answer = self.client.audio.transcriptions.create(
            model="normal-stt", file=("sound.wav", SOUND), language="de", temperature=0.5)
        self.assertEqual(answer.text, TEXT)
        heard = control("normal", "last")
        self.assertEqual(heard["path"], "/v1/audio/transcriptions")
        self.assertEqual(heard["body"]["model"], "stt", "the instance's own name")
        self.assertEqual(heard["body"]["language"], "de")
        self.assertEqual(heard["body"]["file"].encode("latin-1"), SOUND)

    def test_speech_comes_back_byte_for_byte(self):
        answer = self.client.audio.speech.create(model="normal-tts", voice="alloy", input=TEXT)
        self.assertEqual(answer.content, SOUND)
        with self.client.audio.speech.with_streaming_response.create(
                model="normal-tts", voice="alloy", input=TEXT) as streamed:
            self.assertEqual(b"".join(streamed.iter_bytes()), SOUND)

    def test_a_picture_comes_back(self):
        answer = self.client.images.generate(model="normal-imgGen", prompt="a crab", n=1)
        self.assertEqual(base64.b64decode(answer.data[0].b64_json), SOUND)


if __name__ == "__main__":
    unittest.main()
