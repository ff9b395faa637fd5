module umbel-sdk

go 1.25
