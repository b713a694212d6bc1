#!/usr/bin/env python3.11
"""A gateway's whole life by the starter toolkit, told by environment variables only where everything is:
`toolkit_life.py SERVER_URL`. The quotas of the control plane are the defaults.

The toolkit waits a minute for names that never come to be here: this driver, not the toolkit, makes each wait one second
at most.
"""

import os
import sys
import time

import boto3
import botocore.exceptions
import cognito
import life
import talk
from bedrock_agentcore_starter_toolkit.operations.gateway.client import GatewayClient
from bedrock_agentcore_starter_toolkit.operations.gateway.exceptions import GatewaySetupException
from life import ACCOUNT, REGION, mcp_server, refused, settled
from python_host import need

LONGEST_WAIT_S = 1.0
NAME = "ToolkitLife"


def shorter(sleep):
    return lambda seconds: sleep(min(seconds, LONGEST_WAIT_S))


class ToolkitLife(life.Life):
    def __init__(self, server):
        self.server = server
        self.client = GatewayClient(region_name=REGION)
        self.errors = self.client.client.exceptions

    def check_wrong_secret_refused(self):
        right = os.environ["AWS_SECRET_ACCESS_KEY"]
        os.environ["AWS_SECRET_ACCESS_KEY"] = "not-the-secret-of-this-key"
        boto3.setup_default_session()
        try:
            answer = GatewayClient(region_name=REGION).list_gateways()
        finally:
            os.environ["AWS_SECRET_ACCESS_KEY"] = right
            boto3.setup_default_session()
        need(answer["status"] == "error" and "InvalidSignatureException" in answer["message"], answer)

    def check_create_oauth_authorizer_with_cognito(self):
        made = self.client.create_oauth_authorizer_with_cognito(NAME)
        self.authorizer, self.info = made["authorizer_config"], made["client_info"]
        url = self.authorizer["customJWTAuthorizer"]["discoveryUrl"]
        need(url == cognito.discovery(self.info["user_pool_id"], REGION), url)

    def check_create_mcp_gateway(self):
        """With a role that the toolkit makes, and its observability."""
        made = self.client.create_mcp_gateway(name=NAME, authorizer_config=self.authorizer)
        self.id, self.arn, self.url = made["gatewayId"], made["gatewayArn"], made["gatewayUrl"]
        self.gateway = self.client.get_gateway(gateway_identifier=self.id)["gateway"]
        need(self.gateway["status"] == "READY" and self.gateway["authorizerConfiguration"] == self.authorizer, self.gateway)
        need(self.gateway["roleArn"].startswith(f"arn:aws:iam::{ACCOUNT}:role/"), self.gateway)
        return self.url

    def check_same_name_refused(self):
        with refused(self.errors.ConflictException, NAME):
            self.client.create_mcp_gateway(name=NAME, role_arn=self.gateway["roleArn"], authorizer_config=self.authorizer)

    def check_default_targets_are_refused_clearly(self):
        """Everything before the target goes to moto and works: role, function and permission of the Lambda target."""
        with refused(self.errors.ValidationException, "mcp.lambda", "not offered yet"):
            self.client.create_mcp_gateway_target(self.gateway)
        with refused(self.errors.ValidationException, "mcp.smithyModel", "not offered yet"):
            self.client.create_mcp_gateway_target(self.gateway, target_type="smithyModel")
        key = {"api_key": "k", "credential_location": "HEADER", "credential_parameter_name": "x-api-key"}
        # By a client of its own, which has exceptions of its own.
        with refused(botocore.exceptions.ClientError, "ValidationException", "CreateApiKeyCredentialProvider", "not offered"):
            payload = {"inlinePayload": '{"openapi": "3.1.0"}'}
            self.client.create_mcp_gateway_target(self.gateway, target_type="openApiSchema", target_payload=payload, credentials=key)
        # It asks for the gateway's role without saying for which service, which the cloud refuses too for an MCP server.
        with refused(self.errors.ValidationException, "GATEWAY_IAM_ROLE"):
            self.client.create_mcp_gateway_target(self.gateway, target_type="mcpServer", target_payload={"endpoint": self.server})
        need(self.client.list_gateway_targets(gateway_identifier=self.id)["items"] == [], "a refused target is listed")

    def check_target(self):
        """The toolkit's own client without credentials for the target, which its helper cannot leave out."""
        made = self.client.client.create_gateway_target(gatewayIdentifier=self.id, name="ferry", targetConfiguration=mcp_server(self.server))
        settled(self.client.client.get_gateway_target, gatewayIdentifier=self.id, targetId=made["targetId"])
        self.target = made["targetId"]

    def check_lists_and_looks_up(self):
        for answer in (self.client.list_gateways(), self.client.list_gateways(name=NAME)):
            need(answer["status"] == "success" and [g["gatewayId"] for g in answer["items"]] == [self.id], answer)
        for which in ({"name": NAME}, {"gateway_arn": self.arn}, {"gateway_identifier": self.id}):
            need(self.client.get_gateway(**which)["gateway"]["gatewayArn"] == self.arn, which)
            answer = self.client.list_gateway_targets(**which)
            need([t["targetId"] for t in answer["items"]] == [self.target], answer)
            answer = self.client.get_gateway_target(**which, target_name="ferry")
            need(answer["target"]["status"] == "READY", answer)

    def check_token_and_tools(self):
        """The gateway keeps no sessions and streams nothing: the toolkit asks for neither."""
        cognito.user(self.info["user_pool_id"])

        async def body(one):
            need("ferry___sg_echo" in await one.tools(), "not listed")
            await one.echo("ferry___sg_echo")
            await one.progress("ferry___sg_progress", streaming=False)

        with cognito.token_endpoint(self.info["user_pool_id"]) as url:
            token = self.client.get_access_token_for_cognito({**self.info, "token_endpoint": url})
            with refused(GatewaySetupException, "invalid_client"):
                self.client.get_access_token_for_cognito({**self.info, "token_endpoint": url, "client_secret": "x"})
        status, headers, _ = talk.knock(self.url)
        need(status == 401 and "resource_metadata=" in headers.get("www-authenticate", ""), f"{status} {headers}")
        talk.run(body, self.url, token)

    def check_update_gateway(self):
        self.client.update_gateway(self.arn, description="Updated")
        found = self.client.get_gateway(name=NAME)["gateway"]
        kept = ("authorizerConfiguration", "protocolConfiguration", "exceptionLevel", "roleArn")
        need(found["description"] == "Updated" and all(found[name] == self.gateway[name] for name in kept), found)
        with refused(GatewaySetupException, "policyEngineConfiguration"):
            engine = f"arn:aws:bedrock-agentcore:{REGION}:{ACCOUNT}:policy-engine/engine-0123456789"
            self.client.update_gateway_policy_engine(self.id, engine)

    def check_delete_gateway_with_targets_refused(self):
        answer = self.client.delete_gateway(name=NAME)
        need(answer["status"] == "error" and "1 target" in answer["message"], answer)

    def check_delete_target(self):
        answer = self.client.delete_gateway_target(gateway_arn=self.arn, target_name="ferry")
        need(answer == {"status": "success", "gatewayId": self.id, "targetId": self.target}, answer)
        life.gone(self.client.client.get_gateway_target, self.errors.ResourceNotFoundException, gatewayIdentifier=self.id, targetId=self.target)

    def check_cleanup_gateway(self):
        """With a target again: it deletes targets, gateway, domain and user pool, and only warns where it cannot."""
        self.check_target()
        self.client.cleanup_gateway(self.id, self.info)
        life.gone(self.client.client.get_gateway, self.errors.ResourceNotFoundException, gatewayIdentifier=self.id)
        with refused(botocore.exceptions.ClientError, "ResourceNotFoundException"):
            boto3.client("cognito-idp").describe_user_pool(UserPoolId=self.info["user_pool_id"])
        answer = self.client.get_gateway(gateway_identifier=self.id)
        need(answer["status"] == "error" and "ResourceNotFoundException" in answer["message"], answer)

    def check_quick_start_without_arguments(self):
        """It makes up a name, a role and a user pool."""
        made = self.client.create_mcp_gateway()
        found = self.client.get_gateway(gateway_arn=made["gatewayArn"])["gateway"]
        need(found["status"] == "READY" and found["name"].startswith("TestGateway"), found)
        self.client.fix_iam_permissions(found)
        self.client.cleanup_gateway(made["gatewayId"])
        life.gone(self.client.client.get_gateway, self.errors.ResourceNotFoundException, gatewayIdentifier=made["gatewayId"])


if __name__ == "__main__":
    time.sleep = shorter(time.sleep)
    sys.exit(ToolkitLife(sys.argv[1]).run())
