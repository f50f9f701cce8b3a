/** GPU instances that ECS starts when a container finds no place, and ends when they are empty. */
import { Validations } from "aws-cdk-lib";
import {
  AutoScalingGroup,
  BlockDeviceVolume,
  EbsDeviceVolumeType,
} from "aws-cdk-lib/aws-autoscaling";
import { InstanceType, type Vpc } from "aws-cdk-lib/aws-ec2";
import { AmiHardwareType, AsgCapacityProvider, EcsOptimizedImage } from "aws-cdk-lib/aws-ecs";
import { Construct } from "constructs";

export type GpuCapacityProps = { vpc: Vpc; instanceType: string; instancesMax: number };

const rootVolumeGiB = 100;

export class GpuCapacity extends Construct {
  readonly provider: AsgCapacityProvider;

  constructor(scope: Construct, id: string, { vpc, instanceType, instancesMax }: GpuCapacityProps) {
    super(scope, id);
    const autoScalingGroup = new AutoScalingGroup(this, "Instances", {
      vpc,
      instanceType: new InstanceType(instanceType),
      machineImage: EcsOptimizedImage.amazonLinux2023(AmiHardwareType.GPU),
      minCapacity: 0,
      maxCapacity: instancesMax,
      requireImdsv2: true,
      blockDevices: [
        {
          deviceName: "/dev/xvda",
          volume: BlockDeviceVolume.ebs(rootVolumeGiB, {
            volumeType: EbsDeviceVolumeType.GP3,
            encrypted: true,
          }),
        },
      ],
    });
    Validations.of(autoScalingGroup).acknowledge(
      {
        id: "AwsSolutions-AS3",
        reason:
          "Instances come and go with the backlog; the alarms watch the queue, not instances.",
      },
      ...["Action::ecs:Submit*", "Resource::*"].map((finding) => ({
        id: `AwsSolutions-IAM5[${finding}]`,
        reason: "What the ECS agent needs to register its instance, as CDK grants it.",
      })),
    );
    this.provider = new AsgCapacityProvider(this, "Provider", {
      autoScalingGroup,
      enableManagedScaling: true,
      enableManagedTerminationProtection: true,
    });
  }
}
