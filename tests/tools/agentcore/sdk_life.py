#!/usr/bin/env python3.11
"""A gateway's whole life by the clients of the AgentCore SDK, told by environment variables only where everything is:
`sdk_life.py SERVER_URL`. The quotas of the control plane are the defaults."""

import concurrent.futures
import sys

import boto3
import botocore.exceptions
import cognito
import life
import talk
from bedrock_agentcore._utils.config import WaitConfig
from bedrock_agentcore.gateway import GatewayClient
from bedrock_agentcore.services.resource_policy import ResourcePolicyClient
from botocore.config import Config
from life import NO_GATEWAY, REGION, ROLE, code_of, mcp_server, protocol, refused, same_members
from python_host import need

# The shortest that the SDK takes.
WAIT = WaitConfig(max_wait=30, poll_interval=1)
BURST, AT_ONCE = 200, 16


class SdkLife(life.Life):
    def __init__(self, server):
        self.server = server
        self.client = GatewayClient(region_name=REGION)
        self.errors = self.client.cp_client.exceptions

    def check_wrong_secret_refused(self):
        session = boto3.Session(aws_secret_access_key="not-the-secret-of-this-key", aws_access_key_id="AKIDEXAMPLEEXAMPLE")
        with refused(botocore.exceptions.ClientError) as met:
            GatewayClient(region_name=REGION, boto3_session=session).list_gateways()
        need(code_of(met.value) == ("InvalidSignatureException", 403), code_of(met.value))

    def check_create_gateway_and_wait(self):
        self.pool = cognito.pool()
        cognito.user(self.pool)
        self.keys = cognito.client(self.pool)
        authorizer = {"customJWTAuthorizer": {"discoveryUrl": cognito.discovery(self.pool, REGION), "allowedClients": [self.keys[0]]}}
        # Its own spelling, which it turns into that of the service.
        self.gateway = self.client.create_gateway_and_wait(
            wait_config=WAIT,
            name="Sdk-Life",
            role_arn=ROLE,
            protocol_type="MCP",
            protocol_configuration=protocol(),
            authorizer_type="CUSTOM_JWT",
            authorizer_configuration=authorizer,
            exception_level="DEBUG",
        )
        self.id, self.url = self.gateway["gatewayId"], self.gateway["gatewayUrl"]
        same_members({"status": "READY", "authorizerConfiguration": authorizer, "protocolConfiguration": protocol()}, self.gateway)
        return self.url

    def check_typed_exceptions(self):
        arguments = {"roleArn": ROLE, "authorizerType": "NONE", "protocolType": "MCP"}
        with refused(self.errors.ConflictException, "Sdk-Life"):
            self.client.create_gateway(name="Sdk-Life", **arguments)
        with refused(self.errors.ValidationException, "authorizerType"):
            self.client.create_gateway(name="never", **{**arguments, "authorizerType": "WHATEVER"})
        with refused(self.errors.ResourceNotFoundException):
            self.client.get_gateway(gatewayIdentifier=NO_GATEWAY)

    def check_create_target_and_wait(self):
        # The SDK finds the gateway in the ARN of the answer and asks with it.
        arguments = {"name": "ferry", "targetConfiguration": mcp_server(self.server)}
        self.target = self.client.create_gateway_target_and_wait(wait_config=WAIT, gatewayIdentifier=self.gateway["gatewayArn"], **arguments)
        same_members({**arguments, "status": "READY"}, self.target)

    def check_failed_target_raises_and_says_why(self):
        with refused(RuntimeError, "FAILED", "reached"):
            self.client.create_gateway_target_and_wait(
                wait_config=WAIT, gatewayIdentifier=self.id, name="nobody", targetConfiguration=mcp_server("http://127.0.0.1:9/mcp")
            )
        found = self.client.get_gateway_target_by_name(self.id, "nobody")
        need(found["status"] == "FAILED", found)
        self.client.delete_gateway_target_and_wait(wait_config=WAIT, gatewayIdentifier=self.id, targetId=found["targetId"])
        need(self.client.get_gateway_target_by_name(self.id, "nobody") is None, "it is still there")

    def check_look_up_by_name_over_pages(self):
        """A page holds one."""
        arguments = {"name": "Sdk-Other", "roleArn": ROLE, "authorizerType": "NONE", "protocolType": "MCP"}
        other = self.client.create_gateway_and_wait(wait_config=WAIT, **arguments)
        for name, identifier in (("Sdk-Life", self.id), ("Sdk-Other", other["gatewayId"])):
            need(self.client.get_gateway_by_name(name, maxResults=1)["gatewayId"] == identifier, name)
        need(self.client.get_gateway_by_name("Sdk-Nobody", max_results=1) is None, "found a gateway that is not")
        found = self.client.get_gateway_target_by_name(self.gateway["gatewayArn"], "ferry", maxResults=1)
        need(found["targetId"] == self.target["targetId"], found)
        self.client.delete_gateway_and_wait(wait_config=WAIT, gatewayIdentifier=other["gatewayId"])
        need(self.client.get_gateway_by_name("Sdk-Other") is None, "it is still there")

    def check_update_gateway_and_wait(self):
        kept = ("name", "roleArn", "protocolType", "protocolConfiguration", "authorizerType", "authorizerConfiguration")
        members = {name: self.gateway[name] for name in kept}
        found = self.client.update_gateway_and_wait(wait_config=WAIT, gatewayIdentifier=self.id, description="Updated", **members)
        same_members({**members, "description": "Updated", "status": "READY"}, found)
        need("exceptionLevel" not in found, found)

    def check_update_target_and_wait(self):
        arguments = {"name": "boat", "targetConfiguration": mcp_server(self.server)}
        found = self.client.update_gateway_target_and_wait(wait_config=WAIT, gatewayIdentifier=self.id, targetId=self.target["targetId"], **arguments)
        need(found["name"] == "boat", found)

    def check_tools_are_called_with_streaming_and_elicitation(self):
        async def body(one):
            need("boat___sg_echo" in await one.tools(), "not listed")
            await one.echo("boat___sg_echo")
            await one.progress("boat___sg_progress")
            await one.elicitation("boat___sg_elicit_form")

        status, _, _ = talk.knock(self.url)
        need(status == 401, status)
        talk.run(body, self.url, cognito.access_token(*self.keys))

    def check_synchronise(self):
        """The SDK has no method of its own for it."""
        self.client.cp_client.synchronize_gateway_targets(gatewayIdentifier=self.id, targetIdList=[self.target["targetId"]])
        found = life.settled(self.client.get_gateway_target, gatewayIdentifier=self.id, targetId=self.target["targetId"])
        need(found["lastSynchronizedAt"] > self.target["lastSynchronizedAt"], found)

    def check_connector_helpers_are_refused_clearly(self):
        knowledge = {"knowledge_base_id": "KB12345678"}
        retrieve = {"retrievers": [{"knowledgeBaseId": "KB12345678"}], "model_arn": f"arn:aws:bedrock:{REGION}::foundation-model/any"}
        for helper, arguments in (
            (self.client.create_web_search_target, {}),
            (self.client.create_knowledge_base_target, knowledge),
            (self.client.create_agentic_retrieve_target, retrieve),
        ):
            with refused(self.errors.ValidationException, "connector", "not offered yet"):
                helper(self.id, wait_config=WAIT, **arguments)

    def check_resource_policy_client(self):
        policies, arn = ResourcePolicyClient(REGION), self.gateway["gatewayArn"]
        statement = {"Effect": "Allow", "Principal": "*", "Action": "bedrock-agentcore:InvokeGateway", "Resource": arn}
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        need(policies.put_resource_policy(arn, policy) == policy, "another policy")
        need(policies.get_resource_policy(arn) == policy, "another policy")
        policies.delete_resource_policy(arn)
        need(policies.get_resource_policy(arn) is None, "it is still there")
        with refused(botocore.exceptions.ClientError) as met:
            policies.delete_resource_policy(arn)
        need(code_of(met.value) == ("ResourceNotFoundException", 404), code_of(met.value))

    def check_throttling_is_typed_and_retried(self):
        """Ten reads a second is the default: without retries a burst is refused, with the client's own it gets through."""
        once = boto3.client("bedrock-agentcore-control", config=Config(retries={"total_max_attempts": 1}, max_pool_connections=AT_ONCE))
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            calls = [pool.submit(once.list_gateways) for _ in range(BURST)]
        errors = [error for error in (call.exception() for call in calls) if error]
        need(0 < len(errors) < BURST, f"{len(errors)} of {BURST} refused")
        for error in errors:
            need(isinstance(error, once.exceptions.ThrottlingException) and code_of(error)[1] == 429, str(error))
        patient = boto3.client("bedrock-agentcore-control", config=Config(retries={"total_max_attempts": 8}))
        for _ in range(15):
            patient.list_gateways()

    def check_delete_and_wait(self):
        with refused(self.errors.ConflictException, "targets"):
            self.client.delete_gateway(gatewayIdentifier=self.id)
        self.client.delete_gateway_target_and_wait(wait_config=WAIT, gatewayIdentifier=self.id, targetId=self.target["targetId"])
        self.client.delete_gateway_and_wait(wait_config=WAIT, gatewayIdentifier=self.gateway["gatewayArn"])
        need(self.client.list_gateways()["items"] == [], "a deleted gateway is listed")
        status, _, body = talk.knock(self.url)
        need(status == 404, f"{status} {body}")


if __name__ == "__main__":
    sys.exit(SdkLife(sys.argv[1]).run())
