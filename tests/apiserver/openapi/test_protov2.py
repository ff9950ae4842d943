"""OpenAPI v2 as protobuf: as gnostic writes it, and as kubectl gets it."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from sampan.api import codec
from sampan.apiserver.openapi import protov2
from sampan.apiserver.openapi.documents import PROTOBUF
from sampan.testing.server import running_server

DOCUMENT = json.loads("""{
 "swagger": "2.0",
 "info": {
  "title": "Kubernetes",
  "version": "v1"
 },
 "paths": {
  "/api/v1/x/{name}": {
   "get": {
    "tags": [
     "core_v1"
    ],
    "operationId": "readX",
    "consumes": [
     "*/*"
    ],
    "produces": [
     "application/json"
    ],
    "parameters": [
     {
      "name": "limit",
      "in": "query",
      "type": "integer",
      "uniqueItems": true
     }
    ],
    "responses": {
     "200": {
      "description": "OK",
      "schema": {
       "$ref": "#/definitions/X"
      }
     },
     "401": {
      "description": "Unauthorized"
     }
    }
   },
   "put": {
    "operationId": "replaceX",
    "parameters": [
     {
      "name": "body",
      "in": "body",
      "required": true,
      "schema": {
       "$ref": "#/definitions/X"
      }
     }
    ],
    "responses": {
     "200": {
      "description": "OK"
     }
    }
   },
   "parameters": [
    {
     "name": "name",
     "in": "path",
     "required": true,
     "type": "string",
     "uniqueItems": true
    }
   ]
  }
 },
 "definitions": {
  "X": {
   "description": "An X.",
   "type": "object",
   "required": [
    "a"
   ],
   "properties": {
    "a": {
     "type": "array",
     "items": {
      "type": "string"
     }
    },
    "b": {
     "type": "object",
     "additionalProperties": {
      "type": "integer",
      "format": "int32"
     }
    }
   }
  }
 },
 "security": [
  {
   "BearerToken": []
  }
 ],
 "securityDefinitions": {
  "BearerToken": {
   "description": "Bearer Token authentication",
   "type": "apiKey",
   "name": "authorization",
   "in": "header"
  }
 }
}""")
GNOSTIC = (
    "CgMyLjASEAoKS3ViZXJuZXRlcxICdjFCiAIShQIKEC9hcGkvdjEveC97bmFtZX0S8AESiAEKB2NvcmVfdjEqBXJlYWRYMhBhcHBsaWNhdGlvbi9qc29uOgMq"
    "LypCIAoeEhwaGhIFcXVlcnkiBWxpbWl0MgdpbnRlZ2VyoAEBSj0KIgoDMjAwEhsKGQoCT0sSEwoRCg8jL2RlZmluaXRpb25zL1gKFwoDNDAxEhAKDgoMVW5h"
    "dXRob3JpemVkGkIqCHJlcGxhY2VYQiUKIwohEgRib2R5GgRib2R5IAEqEQoPIy9kZWZpbml0aW9ucy9YSg8KDQoDMjAwEgYKBAoCT0tKHwodEhsiGQgBEgRw"
    "YXRoIgRuYW1lKgZzdHJpbmeYAQFKawppCgFYEmQiBUFuIFgumgEBYbIBCAoGb2JqZWN0ygFLCh8KAWESGrIBBwoFYXJyYXm6AQ0KC7IBCAoGc3RyaW5nCigK"
    "AWISI6oBFQoTEgVpbnQzMrIBCQoHaW50ZWdlcrIBCAoGb2JqZWN0YhEKDwoLQmVhcmVyVG9rZW4SAGpPCk0KC0JlYXJlclRva2VuEj4SPAoGYXBpS2V5Eg1h"
    "dXRob3JpemF0aW9uGgZoZWFkZXIiG0JlYXJlciBUb2tlbiBhdXRoZW50aWNhdGlvbg=="
)
ASKS = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


def test_a_document_is_byte_for_byte_what_gnostic_writes() -> None:
    assert protov2.encode(DOCUMENT) == base64.b64decode(GNOSTIC)


def test_extensions_are_named_texts_of_yaml() -> None:
    encoded = protov2.encode({"swagger": "2.0", "x-note": {"a": [1]}})
    assert encoded == b"\x0a\x032.0" + b"\x82\x01\x16" + b"\x0a\x06x-note" + b"\x12\x0c" + b'\x12\x0a{"a":[1]}\n'


def test_the_server_gives_protobuf_to_who_asks_and_json_to_the_rest() -> None:
    async def ask() -> list[Any]:
        async with running_server() as server:
            return [await server.client.raw("GET", "/openapi/v2", headers={"Accept": accept}) for accept in (ASKS, "application/json", f"{ASKS},*/*")]

    proto, plain, both = asyncio.run(ask())
    assert proto.headers["content-type"] == both.headers["content-type"] == PROTOBUF.decode()
    assert proto.body == both.body == protov2.encode(codec.loads(plain.body))
    assert len(plain.body) > 100_000
