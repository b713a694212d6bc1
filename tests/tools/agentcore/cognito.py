"""A Cognito user pool in moto: the tokens that its clients get, and the endpoint for client credentials that moto has not."""

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import threading
import urllib.parse

import boto3

USER, PASSWORD = "ada", "Lovelace-1815"


def pool():
    """A user pool; its id."""
    return boto3.client("cognito-idp").create_user_pool(PoolName="people")["UserPool"]["Id"]


def client(pool_id):
    """A client of the pool; its id and secret."""
    made = boto3.client("cognito-idp").create_user_pool_client(UserPoolId=pool_id, ClientName="agent", GenerateSecret=True)
    return made["UserPoolClient"]["ClientId"], made["UserPoolClient"]["ClientSecret"]


def user(pool_id, name=USER):
    """Somebody who can sign in."""
    cognito = boto3.client("cognito-idp")
    cognito.admin_create_user(UserPoolId=pool_id, Username=name, MessageAction="SUPPRESS")
    cognito.admin_set_user_password(UserPoolId=pool_id, Username=name, Password=PASSWORD, Permanent=True)


def access_token(client_id, secret, name=USER):
    """Signs in: an access token of the pool for this client."""
    proof = base64.b64encode(hmac.new(secret.encode(), (name + client_id).encode(), hashlib.sha256).digest()).decode()
    answer = boto3.client("cognito-idp").initiate_auth(
        ClientId=client_id,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": name, "PASSWORD": PASSWORD, "SECRET_HASH": proof},
    )
    return answer["AuthenticationResult"]["AccessToken"]


def discovery(pool_id, region):
    """Where the pool's document is on the public internet."""
    return f"https://cognito-idp.{region}.amazonaws.com/{pool_id}/.well-known/openid-configuration"


@contextlib.contextmanager
def token_endpoint(pool_id):
    """The URL of a token endpoint for client credentials: its tokens are moto's own."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
            facts = boto3.client("cognito-idp").describe_user_pool_client(UserPoolId=pool_id, ClientId=form["client_id"])
            good = form["grant_type"] == "client_credentials" and form["client_secret"] == facts["UserPoolClient"]["ClientSecret"]
            answer = {"error": "invalid_client"}
            if good:
                answer = {"access_token": access_token(form["client_id"], form["client_secret"]), "token_type": "Bearer"}
            body = json.dumps(answer).encode()
            self.send_response(200 if good else 401)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/oauth2/token"
        finally:
            server.shutdown()
