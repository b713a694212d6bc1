#!/usr/bin/env python3.11
"""A gateway's whole life by boto3 alone, told by environment variables only where everything is: `boto3_life.py SERVER_URL`."""

import json
import os
import sys

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import cognito
import talk
from boto3_gateways import OPEN
from boto3_targets import Targets
from life import REGION, gone, mcp_server, protocol, refused, settled
from python_host import need


def signing(key, secret):
    """Signs requests to a gateway as the cloud's own proxies for MCP do: with botocore's signer, and every header but one."""
    signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials(key, secret), "bedrock-agentcore", REGION)

    def sign(request):
        kept = {name: value for name, value in request.headers.items() if name != "connection"}
        signed = botocore.awsrequest.AWSRequest(request.method, str(request.url), data=request.content, headers=kept)
        signer.add_auth(signed)
        request.headers.update({name: signed.headers[name] for name in ("Authorization", "X-Amz-Date")})

    return sign


class Boto3Life(Targets):
    """Calls tools through the gateways, says who may, and ends them."""

    def check_token_of_cognito_lists_tools(self):
        self.access = cognito.access_token(self.client_id, self.client_secret)
        names = talk.tools(self.url, self.access)
        need(len(names) == len(set(names)), "a tool is listed twice")
        by_target = {target: sorted(name for name in names if name.startswith(f"{target}___")) for target in ("ferry", "boat", "static", "stored")}
        need(by_target["ferry"] == [] and "boat___sg_echo" in by_target["boat"], names)
        need((by_target["static"], by_target["stored"]) == (["static___sg_echo"], ["stored___sg_echo"]), by_target)

    def check_tools_are_called_with_streaming_and_elicitation(self):
        async def body(one):
            for target in ("boat", "static", "stored"):
                await one.echo(f"{target}___sg_echo")
            await one.progress("boat___sg_progress")
            await one.elicitation("boat___sg_elicit_form")

        talk.run(body, self.url, self.access)

    def check_nobody_without_a_good_token(self):
        status, headers, _ = talk.knock(self.url)
        challenge = headers.get("www-authenticate", "")
        need(status == 401 and "resource_metadata=" in challenge, f"{status} {challenge}")
        where = challenge.partition('resource_metadata="')[2].partition('"')[0]
        status, _, text = talk.knock(where, method="GET")
        metadata = json.loads(text)
        need(status == 200 and metadata["resource"] == self.url, metadata)
        issuer = cognito.discovery(self.pool, REGION).partition("/.well-known")[0]
        need(metadata["authorization_servers"] == [issuer], metadata)
        # A good token of the pool for a client that the gateway does not know, and one whose signature is another's.
        other = cognito.access_token(*cognito.client(self.pool))
        head, claims, signature = self.access.split(".")
        for wrong in (other, ".".join([head, claims, signature[::-1]])):
            status, headers, _ = talk.knock(self.url, wrong)
            need(status in (401, 403) and "Bearer" in headers.get("www-authenticate", ""), f"{status} {headers}")

    def check_session_outlives_its_token_and_is_nobody_elses(self):
        async def body(one):
            one.carrier.token = cognito.access_token(self.client_id, self.client_secret)
            need(one.carrier.token != self.access, "the same token")
            await one.echo("boat___sg_echo")
            session_id = one.session.session_id()
            status, _, _ = talk.knock(self.url, other, session_id=session_id)
            need(status == 404, f"somebody else: {status}")
            status, _, _ = talk.knock(self.url, session_id=session_id)
            need(status == 401, f"nobody: {status}")
            await one.echo("boat___sg_echo")

        cognito.user(self.pool, "grace")
        other = cognito.access_token(self.client_id, self.client_secret, "grace")
        talk.tools(self.url, other)
        talk.run(body, self.url, self.access)

    def check_authenticate_only_gateway(self):
        """Every client of the issuer, and none of another: in moto all pools sign with the same key."""
        gateway = self.others[2]
        authorizer = {"customJWTAuthorizer": {"discoveryUrl": cognito.discovery(self.pool, REGION)}}
        members = {**OPEN, "name": "page-2", "authorizerType": "AUTHENTICATE_ONLY", "authorizerConfiguration": authorizer}
        self.control.update_gateway(gatewayIdentifier=gateway, **members)
        url = settled(self.control.get_gateway, gatewayIdentifier=gateway)["gatewayUrl"]
        talk.tools(url, cognito.access_token(*cognito.client(self.pool)))
        elsewhere = cognito.pool()
        cognito.user(elsewhere)
        status, headers, _ = talk.knock(url, cognito.access_token(*cognito.client(elsewhere)))
        need(status == 401 and 'error="invalid_token"' in headers.get("www-authenticate", ""), f"{status} {headers}")

    def check_synchronise(self):
        """What the server changes by itself is served after SynchronizeGatewayTargets only."""
        talk.run(lambda one: one.session.call("sg_toggle_tool", {}), self.server)
        need("boat___sg_toggled" not in talk.tools(self.url, self.access), "synchronised unasked")
        answer = self.control.synchronize_gateway_targets(gatewayIdentifier=self.id, targetIdList=[self.target])
        need([target["targetId"] for target in answer["targets"]] == [self.target], answer)
        found = settled(self.control.get_gateway_target, gatewayIdentifier=self.id, targetId=self.target)
        need(found["lastSynchronizedAt"] > self.synchronised, found)
        need("boat___sg_toggled" in talk.tools(self.url, self.access), "not synchronised")

    def check_open_gateway_without_sessions(self):
        gateway = self.others[0]
        url = settled(self.control.get_gateway, gatewayIdentifier=gateway)["gatewayUrl"]
        made = self.control.create_gateway_target(
            gatewayIdentifier=gateway, name="live", targetConfiguration=mcp_server(self.server, listingMode="DYNAMIC")
        )
        settled(self.control.get_gateway_target, gatewayIdentifier=gateway, targetId=made["targetId"])
        with refused(self.errors.ValidationException, "read"):
            self.control.synchronize_gateway_targets(gatewayIdentifier=gateway, targetIdList=[made["targetId"]])

        async def body(one):
            need("live___sg_echo" in await one.tools(), "not listed")
            await one.echo("live___sg_echo")
            await one.progress("live___sg_progress", streaming=False)
            need(one.session.session_id() is None, "a session id was minted")

        talk.run(body, url)
        self.control.delete_gateway_target(gatewayIdentifier=gateway, targetId=made["targetId"])
        gone(self.control.get_gateway_target, self.errors.ResourceNotFoundException, gatewayIdentifier=gateway, targetId=made["targetId"])

    def check_signed_calls_of_an_iam_gateway(self):
        gateway = self.others[1]
        members = {"name": "page-1", **OPEN, "authorizerType": "AWS_IAM", "protocolConfiguration": protocol()}
        self.control.update_gateway(gatewayIdentifier=gateway, **members)
        url = settled(self.control.get_gateway, gatewayIdentifier=gateway)["gatewayUrl"]
        made = self.control.create_gateway_target(gatewayIdentifier=gateway, name="signed", targetConfiguration=mcp_server(self.server))
        settled(self.control.get_gateway_target, gatewayIdentifier=gateway, targetId=made["targetId"])

        async def body(one):
            await one.echo("signed___sg_echo")
            await one.progress("signed___sg_progress")
            await one.elicitation("signed___sg_elicit_form")

        talk.run(body, url, sign=signing(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]))
        # Unsigned, with a wrong secret, and with a key that may read gateways but not call them.
        wrong = signing(os.environ["AWS_ACCESS_KEY_ID"], "not-the-secret-of-this-key")
        for sign in (None, wrong, signing(os.environ["READER_KEY"], os.environ["READER_SECRET"])):
            status, _, _ = talk.knock(url, sign=sign)
            need(status in (401, 403), status)
        self.control.delete_gateway_target(gatewayIdentifier=gateway, targetId=made["targetId"])
        gone(self.control.get_gateway_target, self.errors.ResourceNotFoundException, gatewayIdentifier=gateway, targetId=made["targetId"])

    # === resource policies ===

    def check_resource_policy(self):
        statement = {"Effect": "Allow", "Principal": "*", "Action": "bedrock-agentcore:InvokeGateway", "Resource": self.arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        need(self.control.put_resource_policy(resourceArn=self.arn, policy=policy)["policy"] == policy, "another policy")
        need(self.control.get_resource_policy(resourceArn=self.arn)["policy"] == policy, "another policy")
        talk.tools(self.url, self.access)
        for wrong in ("no JSON", json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Effect": "Perhaps"}]})):
            with refused(self.errors.ValidationException, "policy"):
                self.control.put_resource_policy(resourceArn=self.arn, policy=wrong)
        self.control.put_resource_policy(resourceArn=self.arn, policy=policy.replace('"Allow"', '"Deny"'))
        status, _, _ = talk.knock(self.url, self.access)
        need(status == 403, status)
        self.control.delete_resource_policy(resourceArn=self.arn)
        need("policy" not in self.control.get_resource_policy(resourceArn=self.arn), "it is still there")
        with refused(self.errors.ResourceNotFoundException):
            self.control.delete_resource_policy(resourceArn=self.arn)
        talk.tools(self.url, self.access)

    # === the end ===

    def check_gateway_with_targets_stays(self):
        with refused(self.errors.ConflictException, "targets"):
            self.control.delete_gateway(gatewayIdentifier=self.id)

    def check_delete(self):
        for target in self.control.list_gateway_targets(gatewayIdentifier=self.id)["items"]:
            answer = self.control.delete_gateway_target(gatewayIdentifier=self.id, targetId=target["targetId"])
            need(answer["status"] == "DELETING" and answer["gatewayArn"] == self.arn, answer)
            gone(self.control.get_gateway_target, self.errors.ResourceNotFoundException, gatewayIdentifier=self.id, targetId=target["targetId"])
        for gateway in (self.id, *self.others):
            need(self.control.delete_gateway(gatewayIdentifier=gateway)["status"] == "DELETING", gateway)
        for gateway in (self.id, *self.others):
            gone(self.control.get_gateway, self.errors.ResourceNotFoundException, gatewayIdentifier=gateway)
        need(self.control.list_gateways()["items"] == [], "a deleted gateway is listed")
        status, _, _ = talk.knock(self.url, self.access)
        need(status == 404, status)

    def check_name_is_free_again(self):
        made = self.control.create_gateway(**self.members)
        need(made["gatewayId"] != self.id, made)
        settled(self.control.get_gateway, gatewayIdentifier=made["gatewayId"])
        need(self.control.list_tags_for_resource(resourceArn=made["gatewayArn"])["tags"] == {}, "tags of the one before")
        self.control.delete_gateway(gatewayIdentifier=made["gatewayId"])
        gone(self.control.get_gateway, self.errors.ResourceNotFoundException, gatewayIdentifier=made["gatewayId"])


if __name__ == "__main__":
    sys.exit(Boto3Life(sys.argv[1]).run())
